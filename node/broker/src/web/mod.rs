//! Metrics and health over HTTP, on `ottla.http.listener`.
//!
//! It is there before the broker is, and until after it: a start that reads for a minute can be watched. What it shows is in
//! [`ROUTES`], a file each.

mod alone;
mod groups;
mod health;
mod metrics;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use ottla_http::{Answer, BoxFuture, HTML, Site, Status};
use ottla_net::Bound;
use ottla_rt::{Rt, Stopper};
use tokio::sync::Semaphore;

use self::alone::Alone;
use crate::metrics::scrape::{BrokerState, Sources};

/// What can be asked for.
struct Route {
    /// One that ends with a slash and more is for all that begins like it: what follows is given to `get`.
    path: &'static str,
    about: &'static str,
    get: fn(Arc<Desk>, &str) -> BoxFuture<Answer>,
}

const ROUTES: &[Route] = &[
    Route { path: "/metrics", about: "metrics for Prometheus", get: |desk, _| Box::pin(metrics::get(desk)) },
    Route {
        path: "/healthz",
        about: "200 while the process is well",
        get: |_, _| Box::pin(std::future::ready(health::live())),
    },
    Route {
        path: "/readyz",
        about: "200 while the broker serves, and which partitions it does not; else 503 and why",
        get: |desk, _| Box::pin(health::ready(desk)),
    },
    Route {
        path: "/groups",
        about: "groups of consumers, and how far they are behind, as JSON",
        get: |desk, _| Box::pin(groups::list(desk)),
    },
    Route {
        path: "/groups/",
        about: "and the id of a group, percent-encoded: why it had to share anew, and its lag, as JSON",
        get: |desk, id| Box::pin(groups::one(desk, id.to_owned())),
    },
    Route {
        path: "/",
        about: "this page",
        get: |_, _| Box::pin(std::future::ready(Answer::new(Status::Ok, HTML, index()))),
    },
];

impl Route {
    /// What follows the route's path, if `path` is of it.
    fn rest_of<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.path)?;
        let takes_more = self.path.len() > 1 && self.path.ends_with('/');
        (rest.is_empty() != takes_more).then_some(rest)
    }
}

/// What the pages look at. Filled in as the broker comes up.
#[derive(Debug)]
pub struct Desk {
    rt: Rt,
    sources: OnceLock<Sources>,
    is_stopping: AtomicBool,
    /// How many texts of metrics there may be.
    texts: Arc<Semaphore>,
    maker: Alone,
    /// How long the last one was.
    last_bytes: AtomicUsize,
    /// How many answers about groups there may be.
    group_answers: Arc<Semaphore>,
    group_maker: Alone,
}

/// The server, until it is dropped.
#[derive(Debug)]
pub struct Web {
    pub desk: Arc<Desk>,
    _stopper: Stopper,
}

impl Web {
    /// Serves on `bound`, if it is not off.
    pub fn start(rt: &Rt, bound: Option<Bound>) -> Web {
        let desk = Arc::new(Desk {
            rt: rt.clone(),
            sources: OnceLock::new(),
            is_stopping: AtomicBool::new(false),
            texts: Arc::new(Semaphore::new(metrics::TEXTS_MAX)),
            maker: Alone::default(),
            last_bytes: AtomicUsize::new(0),
            group_answers: Arc::new(Semaphore::new(groups::ANSWERS_MAX)),
            group_maker: Alone::default(),
        });
        let stopper = Stopper::default();
        if let Some(bound) = bound {
            ottla_http::serve(rt, bound, Arc::new(Pages(desk.clone())), stopper.listener());
        }
        Web { desk, _stopper: stopper }
    }
}

impl Desk {
    /// The broker serves.
    pub fn has_started(&self, sources: Sources) {
        let is_first = self.sources.set(sources).is_ok();
        assert!(is_first, "a broker starts once");
    }

    pub fn stops(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    fn state(&self) -> BrokerState {
        match &self.sources.get() {
            _ if self.is_stopping.load(Ordering::Relaxed) => BrokerState::Stopping,
            Some(_) => BrokerState::Running,
            None => BrokerState::Starting,
        }
    }
}

struct Pages(Arc<Desk>);

impl Site for Pages {
    fn get(&self, path: &str) -> Option<BoxFuture<Answer>> {
        let (route, rest) = ROUTES.iter().find_map(|route| Some((route, route.rest_of(path)?)))?;
        Some((route.get)(self.0.clone(), rest))
    }
}

fn index() -> String {
    let rows: String =
        ROUTES.iter().map(|Route { path, about, .. }| format!("<li><a href=\"{path}\">{path}</a> {about}\n")).collect();
    format!("<!doctype html>\n<title>Ottla</title>\n<h1>Ottla {}</h1>\n<ul>\n{rows}</ul>\n", env!("CARGO_PKG_VERSION"))
}
