//! The task that has partitions forget producers that have been idle for long.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_config::{ServerConfig, keys};
use ottla_partition::Expiry;
use ottla_rt::{Rt, Stop};

use crate::topics::Published;

/// Looks once at the start, then every `producer.id.expiration.check.interval.ms`. Runs until `stop`.
pub async fn run(
    rt: Rt,
    published: Arc<ArcSwap<Published>>,
    config: Arc<ServerConfig>,
    interval: Duration,
    mut stop: Stop,
) {
    loop {
        let (published, now_wall_ms) = (published.load_full(), rt.now().wall_ms);
        let expiration_ms = published.image.configs().layers(&config).get(keys::PRODUCER_ID_EXPIRATION_MS).into();
        rt.blocking(move || {
            let open = published.topics.iter().flat_map(|topic| topic.partitions.iter().flatten());
            open.for_each(|partition| partition.expire_producers(Expiry { now_wall_ms, expiration_ms }));
        })
        .await;
        tokio::select! {
            biased;
            () = stop.told() => return,
            () = rt.sleep(interval) => {}
        }
    }
}
