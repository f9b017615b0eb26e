//! A consumer that manages its partitions itself: it is no member of its group, and commits how far it has read.

use std::sync::Arc;
use std::time::Duration;

use ottla_rt::Stop;
use ottla_wire::ErrorCode;

use crate::group_client::{Committer, GroupClient, Trouble};
use crate::history::LogId;
use crate::site::Site;

const VERSIONS: &[i16] = &[2, 3, 5, 6, 7, 8, 9, 10];

#[derive(Debug)]
pub struct Simple {
    client: GroupClient,
    /// Next offset of each log that it commits for. Nobody else does.
    next: Vec<(LogId, i64)>,
    version: i16,
}

impl Simple {
    /// Commits for some of the client's logs.
    pub fn new(client: GroupClient, logs: impl Iterator<Item = LogId>) -> Simple {
        let version = client.site.dice.pick(VERSIONS);
        Simple { client, next: logs.map(|log| (log, 1)).collect(), version }
    }

    /// Until `calm` is told, and then until its last commit is acknowledged.
    pub async fn run(mut self, mut calm: Stop) {
        let Site { rt, dice, .. } = self.client.site.clone();
        loop {
            let is_last = rt.timeout(Duration::from_millis(dice.within(50..=1000)), calm.told()).await.is_some();
            if dice.one_in(20) {
                self.client.hang_up();
            }
            if !is_last && dice.one_in(4) {
                let _ = self.client.read().await;
            } else if self.commit().await.is_ok() && is_last && self.client.read().await.is_ok() {
                return;
            } else if is_last {
                rt.sleep(Duration::from_millis(100)).await;
            }
        }
    }

    async fn commit(&mut self) -> Result<(), Trouble> {
        let dice = self.client.site.dice.clone();
        let some = dice.within(1..=self.next.len() as u64) as usize;
        let offsets = self.next[..some].to_vec();
        let by = Committer { version: self.version, generation: -1, member_id: Arc::default(), instance_id: None };
        let outcome = self.client.commit(&by, &offsets).await;
        match outcome {
            Ok(()) | Err(Trouble::Away | Trouble::Refused(ErrorCode::OffsetMetadataTooLarge)) => {}
            Err(Trouble::Refused(error)) => self.client.site.broken(format!("a commit: {error}")),
        }
        // What is not acknowledged is sent again as it was, or is overtaken.
        if outcome.is_ok() || dice.one_in(2) {
            self.next[..some].iter_mut().for_each(|(_, next)| *next += dice.within(1..=9) as i64);
        }
        self.next.rotate_left(1);
        outcome
    }
}
