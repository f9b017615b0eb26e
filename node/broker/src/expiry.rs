//! The task that has partitions forget producers that have been idle for long.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_partition::Expiry;
use ottla_rt::{Rt, Stop};

use crate::topics::Published;

/// `producer.id.expiration.ms` and `producer.id.expiration.check.interval.ms`
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub expiration_ms: i64,
    pub interval: Duration,
}

/// Looks once at the start, then every interval. Runs until `stop`.
pub async fn run(rt: Rt, published: Arc<ArcSwap<Published>>, times: Times, mut stop: Stop) {
    loop {
        let (published, now_wall_ms) = (published.load_full(), rt.now().wall_ms);
        rt.blocking(move || {
            let open = published.topics.iter().flat_map(|topic| topic.partitions.iter().flatten());
            open.for_each(|partition| {
                partition.expire_producers(Expiry { now_wall_ms, expiration_ms: times.expiration_ms });
            });
        })
        .await;
        tokio::select! {
            biased;
            () = stop.told() => return,
            () = rt.sleep(times.interval) => {}
        }
    }
}
