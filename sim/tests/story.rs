//! A world is told twice in the same words.
//!
//! Alone in its process: tracing keeps for all threads which log lines somebody wants, and runs that are told beside others
//! that nobody listens to would differ in what they log.

use std::io::Write;
use std::sync::{Arc, Mutex};

use ottla_sim::{Trace, run};

#[derive(Clone, Default)]
struct Story(Arc<Mutex<Vec<u8>>>);

impl Write for Story {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn one_seed_is_one_story() {
    let story_of = |seed| {
        let story = Story::default();
        run(seed, &Trace::to(story.clone()));
        String::from_utf8(std::mem::take(&mut *story.0.lock().unwrap())).unwrap()
    };
    for seed in [1, 2] {
        let (first, second) = (story_of(seed), story_of(seed));
        let differ = first.lines().zip(second.lines()).find(|(first, second)| first != second);
        assert_eq!(differ, None, "seed {seed}");
        assert!(first.lines().count() > 500 && first == second, "seed {seed}");
    }
}
