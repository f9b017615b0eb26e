//! Files of logs to which nothing is appended are closed: a broker may have more partitions than it gets descriptors.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_rt::{Rt, Stop};

use crate::topics::Published;

/// How long a log is idle, at least, before its file is closed.
const IDLE: Duration = Duration::from_secs(60);

/// Looks every minute until `stop`.
pub async fn run(rt: Rt, published: Arc<ArcSwap<Published>>, mut stop: Stop) {
    loop {
        tokio::select! {
            biased;
            () = stop.told() => return,
            () = rt.sleep(IDLE) => {}
        }
        let published = published.load_full();
        let rest = move || {
            let all = published.topics.iter().flat_map(|topic| topic.partitions.iter().flatten());
            all.for_each(|partition| partition.rest_if_idle());
        };
        rt.blocking(rest).await;
    }
}
