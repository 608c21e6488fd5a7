//! Requests as they are counted: how long each route took, by class of status, and what was refused. Labels are routes and
//! codes of this program alone, so there are never many. Counting takes no lock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use eggbox_engine::{Distribution, Histogram};

/// More pairs of a method and a route than there are.
const ROUTES_MAX: usize = 256;
/// More codes than [`crate::error::Error`] has.
const CODES_MAX: usize = 128;

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The route of a request that has none, and the method of one that has another than its route.
pub(crate) const NONE: &str = "none";

/// The counters of one server. A slot belongs to whatever takes it first, and is not given up again.
#[derive(Debug)]
pub(crate) struct HttpCounts {
    routes: Vec<OnceLock<Box<Route>>>,
    refusals: Vec<OnceLock<Refusals>>,
}

#[derive(Debug)]
struct Route {
    method: &'static str,
    template: String,
    classes: [Histogram; CLASSES.len()],
}

#[derive(Debug)]
struct Refusals {
    code: &'static str,
    count: AtomicU64,
}

/// One class of answers of one route.
#[derive(Debug)]
pub(crate) struct Answers<'a> {
    pub(crate) method: &'static str,
    pub(crate) route: &'a str,
    pub(crate) class: &'static str,
    pub(crate) times: Distribution,
}

impl Default for HttpCounts {
    fn default() -> Self {
        Self {
            routes: std::iter::repeat_with(OnceLock::new).take(ROUTES_MAX).collect(),
            refusals: std::iter::repeat_with(OnceLock::new).take(CODES_MAX).collect(),
        }
    }
}

impl HttpCounts {
    /// A request of that route, if it has one, was answered.
    pub(crate) fn answered(&self, method: &Method, template: Option<&str>, status: StatusCode, time: Duration) {
        let method = if status == StatusCode::METHOD_NOT_ALLOWED { NONE } else { name(method) };
        let template = template.unwrap_or(NONE);
        let new = || Box::new(Route { method, template: template.to_owned(), classes: Default::default() });
        let routes = self.routes.iter().map(|slot| slot.get_or_init(new));
        let class = usize::from(status.as_u16() / 100).wrapping_sub(1);
        for route in routes {
            if route.method == method && route.template == template {
                if let Some(times) = route.classes.get(class) {
                    times.observe(time);
                }
                return;
            }
        }
    }

    /// A request was refused with that code.
    pub(crate) fn refused(&self, code: &'static str) {
        let new = || Refusals { code, count: AtomicU64::new(0) };
        let slot = self.refusals.iter().map(|slot| slot.get_or_init(new)).find(|refusals| refusals.code == code);
        if let Some(refusals) = slot {
            refusals.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was answered.
    pub(crate) fn answers(&self) -> impl Iterator<Item = Answers<'_>> {
        self.routes.iter().filter_map(OnceLock::get).flat_map(|route| {
            let classes = CLASSES.into_iter().zip(route.classes.iter().map(Histogram::read));
            let (method, template) = (route.method, &*route.template);
            classes.map(move |(class, times)| Answers { method, route: template, class, times })
        })
    }

    /// What was refused, by code.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let known = self.refusals.iter().filter_map(OnceLock::get);
        known.map(|refusals| (refusals.code, refusals.count.load(Ordering::Relaxed)))
    }
}

/// Those that there are routes for; whatever else clients make up is one.
fn name(method: &Method) -> &'static str {
    match *method {
        // Whoever asks for less is served by the same route.
        Method::GET | Method::HEAD => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(counts: &HttpCounts) -> Vec<(&'static str, &str, &'static str, u64)> {
        let answers = counts.answers().map(|answers| {
            let Answers { method, route, class, times } = answers;
            (method, route, class, times.count())
        });
        answers.filter(|(.., count)| *count > 0).collect()
    }

    #[test]
    fn what_clients_make_up_makes_no_new_labels() {
        let counts = HttpCounts::default();
        for number in 0..1000 {
            let method = Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
            counts.answered(&method, None, StatusCode::NOT_FOUND, Duration::ZERO);
            counts.answered(&method, Some("/a"), StatusCode::METHOD_NOT_ALLOWED, Duration::ZERO);
        }
        counts.answered(&Method::DELETE, Some("/a"), StatusCode::METHOD_NOT_ALLOWED, Duration::ZERO);
        assert_eq!(seen(&counts), [(NONE, NONE, "4xx", 1000), (NONE, "/a", "4xx", 1001)]);
    }

    #[test]
    fn each_route_is_counted_by_class() {
        let counts = HttpCounts::default();
        for (method, status) in [(Method::GET, 200), (Method::HEAD, 204), (Method::POST, 201), (Method::GET, 500)] {
            counts.answered(&method, Some("/a"), StatusCode::from_u16(status).unwrap(), Duration::ZERO);
        }
        assert_eq!(seen(&counts), [("GET", "/a", "2xx", 2), ("GET", "/a", "5xx", 1), ("POST", "/a", "2xx", 1)]);
    }

    #[test]
    fn refusals_are_counted_by_code_from_many_threads() {
        let counts = HttpCounts::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..2000).for_each(|number| counts.refused(["a", "b"][number % 2])));
            }
        });
        let mut seen: Vec<_> = counts.refusals().collect();
        seen.sort_unstable();
        assert_eq!(seen, [("a", 4000), ("b", 4000)]);
    }
}
