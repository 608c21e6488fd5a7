//! What is counted, as Prometheus reads it. Each name and its meaning is in docs/operations.md; labels are names of this
//! program, never of clients.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use eggbox_engine::{Distribution, Engine, Gauges, PoolStatus};
use eggbox_sandbox::processes;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet, prometheus_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::app::App;
use crate::http_counts::HttpCounts;

/// The text of everything.
pub(crate) fn render(app: &App) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape {
        engine: app.engine.clone(),
        requests: Arc::clone(&app.http_counts),
        audit_failures: app.audit.as_ref().map_or(0, |audit| audit.failures()),
        started: app.started,
    }));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

/// What one answer is made of.
#[derive(Debug)]
struct Scrape {
    engine: Engine,
    requests: Arc<HttpCounts>,
    audit_failures: u64,
    started: SystemTime,
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.server(&mut page)?;
        self.sessions(&mut page)?;
        self.executions(&mut page)?;
        self.http(&mut page)
    }
}

impl Scrape {
    fn server(&self, page: &mut Page<'_>) -> fmt::Result {
        page.0
            .encode_descriptor("eggbox_build", "The version that runs", None, MetricType::Info)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        let since_epoch = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        page.gauge(
            "process_start_time_seconds",
            "When the server began to serve, from 1970",
            since_epoch.as_secs_f64(),
        )?;
        let uptime = self.started.elapsed().unwrap_or_default();
        page.gauge("eggbox_uptime_seconds", "How long the server has served", uptime.as_secs_f64())?;
        if let Some(own) = processes::own() {
            page.gauge("process_resident_memory_bytes", "Memory of the server alone", own.resident_bytes)?;
        }
        let restarts = self.engine.counts().nest_restarts();
        page.counter("eggbox_nest_restarts", "Nests started in the place of one that had died", restarts)?;
        page.counter("eggbox_audit_failures", "Lines that the audit log lacks", self.audit_failures)
    }

    fn sessions(&self, page: &mut Page<'_>) -> fmt::Result {
        let counts = self.engine.counts();
        let Gauges {
            sessions_starting,
            sessions_idle,
            sessions_running,
            sessions_asleep,
            sessions_ended,
            checkpoints,
            checkpoint_bytes,
            waiting,
            sessions_memory_bytes,
        } = self.engine.gauges();
        let states = [
            ("starting", sessions_starting),
            ("idle", sessions_idle),
            ("running", sessions_running),
            ("hibernated", sessions_asleep),
            ("ended", sessions_ended),
        ];
        page.gauges("eggbox_sessions", "Sessions; those that have ended until somebody is told", "state", states)?;
        page.counter("eggbox_sessions_started", "Sessions begun by this server", counts.sessions_started())?;
        page.counter("eggbox_sessions_inherited", "Sessions taken over", counts.sessions_inherited())?;
        page.counter(
            "eggbox_sessions_hibernated",
            "Times that a session was put on the disk",
            counts.sessions_slept(),
        )?;
        page.counter("eggbox_sessions_woken", "Times that one was woken", counts.sessions_woken())?;
        page.counter("eggbox_sessions_rewound", "Executions that were undone", counts.sessions_rewound())?;
        page.gauge("eggbox_checkpoints", "Checkpoints, hibernated sessions among them", checkpoints)?;
        page.gauge("eggbox_checkpoint_bytes", "What checkpoints take of the disk", checkpoint_bytes)?;
        page.counters("eggbox_sessions_ended", "Sessions that have ended", "reason", counts.sessions_ended())?;
        if let Some(bytes) = sessions_memory_bytes {
            page.gauge("eggbox_sessions_memory_bytes", "Memory of the sessions that live", bytes)?;
        }
        page.gauge("eggbox_queue_length", "Requests that wait for their session, or for their turn", waiting)?;
        let pools: Vec<(&str, PoolStatus)> =
            self.engine.pools().map(|(environment, status)| (environment.as_str(), status)).collect();
        let each =
            |value: fn(&PoolStatus) -> u64| pools.iter().map(move |(environment, pool)| (*environment, value(pool)));
        let parked = each(|pool| pool.parked as u64);
        page.gauges("eggbox_pool_parked", "Sessions that are ready for whoever asks for a new one", OF, parked)?;
        page.gauges("eggbox_pool_wanted", "How many should be", OF, each(|pool| pool.wanted as u64))?;
        page.counters("eggbox_pool_hits", "New sessions that were ready when asked for", OF, each(|pool| pool.hits))?;
        page.counters("eggbox_pool_misses", "New sessions that had to be made then", OF, each(|pool| pool.misses))
    }

    fn executions(&self, page: &mut Page<'_>) -> fmt::Result {
        let counts = self.engine.counts();
        page.gauge("eggbox_executions_running", "Executions that run", counts.running())?;
        page.counters("eggbox_executions", "Executions that are over", "outcome", counts.executions())?;
        let walls = [([], counts.execution_walls())];
        page.histograms("eggbox_execution_duration_seconds", "How long executions took", walls)?;
        let waits = [([], counts.execution_waits())];
        page.histograms(
            "eggbox_execution_wait_seconds",
            "From request to turn, with the start of a new session",
            waits,
        )?;
        let pauses = [([], counts.pauses())];
        page.histograms(
            "eggbox_session_pause_seconds",
            "How long sessions stood still for forks and checkpoints",
            pauses,
        )
    }

    fn http(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counters("eggbox_rejections", "Requests that were refused", "code", self.requests.refusals())?;
        let answers = self.requests.answers().filter(|answers| answers.times.count() > 0);
        let answers = answers.map(|answers| {
            let labels = [("method", answers.method), ("route", answers.route), ("status", answers.class)];
            (labels, answers.times)
        });
        page.histograms("eggbox_http_request_duration_seconds", "From a request's head to its answer's", answers)
    }
}

/// The label of what each environment has.
const OF: &str = "environment";

/// Where it is written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges<'l, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'l str, V)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values.into_iter().try_for_each(|(of, value)| family.encode_family(&[(label, of)])?.encode_gauge(&value))
    }

    /// The name goes without `_total`, which is added.
    fn counter(&mut self, name: &str, help: &str, value: impl EncodeCounterValue) -> fmt::Result {
        let mut counter = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        counter.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'l str, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (of, value) in values {
            family.encode_family(&[(label, of)])?.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    fn histograms<'l, const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'l str); LABELS], Distribution)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, Distribution { buckets, sum_seconds }) in values {
            let count = buckets.iter().map(|(_, count)| count).sum();
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum_seconds, count, &buckets, None)?;
        }
        Ok(())
    }
}
