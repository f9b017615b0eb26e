//! Leader epochs are written late, and are not lost by it.

use ottla_wire::ErrorCode;

use crate::support::*;

#[test]
fn the_epochs_of_batches_outlive_crashes_and_stops() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        assert_eq!(broker.client.create("t", &[]).await, ErrorCode::None);
        assert_eq!(broker.client.produce("t", 1000).await, ErrorCode::None);
        machine.crash(broker).await;
        // An epoch without a batch, and a snapshot beyond the batch of the first one.
        let broker = machine.start().await;
        assert!(machine.stop(broker).await.is_ok());
        let mut broker = machine.start().await;
        assert_eq!(broker.client.produce("t", 1000).await, ErrorCode::None);
        assert!(machine.stop(broker).await.is_ok());
        let text = String::from_utf8(machine.read("t-0/leader-epoch-checkpoint")).unwrap();
        let [version, count, first, second] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert_eq!((version, count, first), ("0", "2", "0 0"));
        assert!(second.ends_with(" 1"), "{text}");
    });
}
