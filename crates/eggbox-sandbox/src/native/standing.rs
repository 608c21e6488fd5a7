//! What the kernel keeps of a process and its code may change by itself: limits, how urgent it is, which processors it may run on.

use std::io;
use std::sync::Mutex;

use rustix::process::{Resource, Rlimit, getpriority_process, getrlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::layers::rlimits;
use crate::sys::inside;

/// All that there are (getrlimit(2)).
const RESOURCES: [Resource; 16] = [
    Resource::Cpu,
    Resource::Fsize,
    Resource::Data,
    Resource::Stack,
    Resource::Core,
    Resource::Rss,
    Resource::Nproc,
    Resource::Nofile,
    Resource::Memlock,
    Resource::As,
    Resource::Locks,
    Resource::Sigpending,
    Resource::Msgqueue,
    Resource::Nice,
    Resource::Rtprio,
    Resource::Rttime,
];

#[derive(Debug, Clone, Copy)]
struct Standing {
    /// In the order of [`RESOURCES`].
    limits: [Rlimit; RESOURCES.len()],
    /// As sched_setscheduler(2) counts them.
    class: i32,
    niceness: i32,
    /// None on a host that has more than are counted here.
    processors: Option<CpuSet>,
}

/// That of this process before it had any code.
static BEGUN: Mutex<Option<Standing>> = Mutex::new(None);

/// What code has made of it: taken into an image, and put up again by what becomes that image, whose own may be another.
#[derive(Debug)]
pub(super) struct Changes {
    begun: Standing,
    is: Standing,
}

/// Has what holds now be what this process began with. Where it cannot be read, no image is taken.
pub(super) fn note() {
    remember(Standing::read().ok());
}

fn remember(standing: Option<Standing>) {
    if let Ok(mut begun) = BEGUN.lock() {
        *begun = standing;
    }
}

impl Standing {
    fn read() -> io::Result<Self> {
        Ok(Self {
            limits: RESOURCES.map(getrlimit),
            class: inside::scheduling_class()?,
            niceness: getpriority_process(None)?,
            processors: sched_getaffinity(None).ok(),
        })
    }
}

impl Changes {
    /// Those of this process.
    pub(super) fn read() -> io::Result<Self> {
        let is = Standing::read()?;
        let begun = BEGUN.lock().ok().and_then(|begun| *begun);
        let begun = begun.ok_or_else(|| io::Error::other("it is not known what it began with"))?;
        Ok(Self { begun, is })
    }

    /// Makes the same of what this process has, which has run no code. Nothing is raised.
    pub(super) fn put_up(&self) -> io::Result<()> {
        let Self { begun, is } = self;
        let mut own = Standing::read()?;
        for (resource, limit) in RESOURCES.into_iter().zip(&mut own.limits) {
            if let (Resource::Data, Some(maximum)) = (resource, limit.maximum) {
                // It was allowed all of it to become the other.
                *limit = rlimits::with_reserve(maximum);
            }
        }
        // What was noted is the other's: it is in the image.
        remember(Some(own));
        if is.class != begun.class && is.class != own.class {
            inside::set_scheduling_class(is.class)?;
        }
        if is.niceness != begun.niceness && is.niceness > own.niceness {
            setpriority_process(None, is.niceness)?;
        }
        if let Some(processors) = &is.processors
            && is.processors != begun.processors
        {
            match sched_setaffinity(None, processors) {
                // This host has none of them, or may use none.
                Err(rustix::io::Errno::INVAL) => {}
                set => set?,
            }
        }
        let limits = begun.limits.into_iter().zip(is.limits).zip(own.limits);
        for (resource, ((begun, is), own)) in RESOURCES.into_iter().zip(limits) {
            let wanted = changed(own, begun, is);
            if wanted != own || resource == Resource::Data {
                setrlimit(resource, wanted)?;
            }
        }
        Ok(())
    }
}

/// What is `own` as it is after what has made `is` of `begun`.
fn changed(own: Rlimit, begun: Rlimit, is: Rlimit) -> Rlimit {
    let maximum = if is.maximum == begun.maximum { own.maximum } else { lower(own.maximum, is.maximum) };
    let current = match is.current {
        current if current == begun.current => own.current,
        // All that it may have; of memory that is what it has run out of, too.
        current if current == is.maximum => maximum,
        current => current,
    };
    Rlimit { current: lower(current, maximum), maximum }
}

/// None is no limit.
fn lower(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_code_has_changed_is_changed_and_nothing_is_raised() {
        let limit = |current: u64, maximum: u64| Rlimit { current: Some(current), maximum: Some(maximum) };
        let none = Rlimit { current: None, maximum: None };
        for (own, begun, is, expected) in [
            // Nothing was changed; the own may be lower or higher.
            (limit(80, 100), limit(8, 10), limit(8, 10), limit(80, 100)),
            (none, none, none, none),
            // The first, or both, were lowered.
            (limit(80, 100), limit(80, 100), limit(5, 100), limit(5, 100)),
            (limit(80, 100), limit(80, 100), limit(5, 50), limit(5, 50)),
            (none, none, limit(5, 50), limit(5, 50)),
            (none, none, Rlimit { current: Some(5), maximum: None }, Rlimit { current: Some(5), maximum: None }),
            // Below that, nothing is raised.
            (limit(3, 4), limit(80, 100), limit(5, 50), limit(4, 4)),
            (limit(40, 60), limit(80, 100), limit(70, 100), limit(60, 60)),
            // All that it may have is what this one may have.
            (limit(80, 100), limit(42, 50), limit(50, 50), limit(100, 100)),
        ] {
            assert_eq!(changed(own, begun, is), expected, "{own:?} {begun:?} {is:?}");
        }
    }
}
