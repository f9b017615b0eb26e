//! `/metrics`: makes the text on a thread that may block, one at a time, and has a few of them at most: each is a megabyte for
//! a thousand partitions, and a client may read slowly.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_http::{Answer, Status};

use super::Desk;
use crate::metrics::scrape;

/// Texts that are being made or sent. Who comes when there are as many is told to come again.
pub const TEXTS_MAX: usize = 4;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub async fn get(desk: Arc<Desk>) -> Answer {
    let Ok(permit) = desk.texts.clone().try_acquire_owned() else {
        return Answer::text(Status::Unavailable, "others are being told at this moment\n");
    };
    let making = desk.clone();
    let make = move || {
        let last = making.last_bytes.load(Ordering::Relaxed);
        scrape::text(making.sources.get(), making.state(), last + last / 8)
    };
    let text = desk.maker.make(&desk.rt, make).await;
    desk.last_bytes.store(text.len(), Ordering::Relaxed);
    Answer { held: Some(Box::new(permit)), ..Answer::new(Status::Ok, CONTENT_TYPE, text) }
}
