//! Every environment of a server, and what they have in common: names, slots, the keeper, the watchdog; and the nests of servers
//! before this one that were made differently and only see their sessions to the end.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use eggbox_sandbox::leftovers;
use eggbox_sandbox::plan::{GroupsPlan, Plan};
use eggbox_sandbox::status::Status;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::checkpoints::Checkpoints;
use crate::config::{EngineConfig, EnvironmentConfig};
use crate::counts::Counts;
use crate::environment::{Environment, EnvironmentError, keep_nest, make_plan, start_nest};
use crate::environment_name::EnvironmentName;
use crate::image::ImageRoom;
use crate::inheritance::{Heir, Inherited};
use crate::keeper::{Keeper, KeeperError};
use crate::kept::{PLAN_KEY, nest_key};
use crate::nest::Nest;
use crate::session::SessionError;
use crate::session_limits::SessionLimits;
use crate::slots::Slots;
use crate::watchdog::Watchdog;

/// What the environments of a server have in common.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) config: Arc<EngineConfig>,
    pub(crate) slots: Slots,
    pub(crate) keeper: Arc<Keeper>,
    /// For sessions that no control groups count, those of servers before this one among them.
    pub(crate) watchdog: Watchdog,
    pub(crate) counts: Counts,
    pub(crate) images: ImageRoom,
    pub(crate) checkpoints: Arc<Checkpoints>,
    /// No nest is started any more.
    pub(crate) closing: watch::Sender<bool>,
}

impl Common {
    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Environments {
    pub(crate) common: Arc<Common>,
    /// That first which every server has.
    pub(crate) each: Vec<Arc<Environment>>,
    /// Their sessions are served to the end.
    pub(crate) retired: Vec<Arc<Nest>>,
}

/// An environment that has no nest yet.
#[derive(Debug)]
struct Planned<'a> {
    name: EnvironmentName,
    config: &'a EnvironmentConfig,
    plan: Plan,
}

impl<'a> Planned<'a> {
    async fn new(
        name: EnvironmentName,
        environment: &'a EnvironmentConfig,
        config: &EngineConfig,
    ) -> Result<Self, EnvironmentError> {
        match make_plan(environment, config).await {
            Ok(plan) => Ok(Self { name, config: environment, plan }),
            Err(error) => Err(error.of(&name)),
        }
    }

    /// Whether that nest was started by the same plan, and lives.
    fn is_of(&self, nest: &Nest) -> bool {
        nest.note.digest == self.plan.digest() && nest.is_up()
    }
}

impl Environments {
    /// Plans every wall, takes over what an earlier server has left, and has a nest for each environment.
    pub(crate) async fn start(config: &Arc<EngineConfig>) -> Result<(Self, Inherited), EnvironmentError> {
        let default = Planned::new(EnvironmentName::default(), &config.environment, config).await?;
        // What it has of groups and slots is the same for all of them.
        let plan = default.plan.clone();
        let mut planned = vec![default];
        for (name, environment) in &config.environments {
            planned.push(Planned::new(name.clone(), environment, config).await?);
        }
        let checkpoints = Checkpoints::open(&config.state_dir, config.checkpoints.clone());
        let checkpoints = Arc::new(checkpoints.map_err(EnvironmentError::Checkpoints)?);
        let watchdog = Watchdog::start(SessionLimits::of(config).into()).map_err(EnvironmentError::Watchdog)?;
        let slots = Slots::new(plan.groups.clone(), plan.sessions_max);
        let (keeper, entries) = Keeper::find_or_start(&config.state_dir, config.limits.abandoned_max).await?;
        keep_plan(&plan, &keeper).await?;
        if let GroupsPlan::Own(groups) = &plan.groups
            && let Err(error) = groups.create()
        {
            if entries.is_empty() {
                keeper.end().await;
            }
            return Err(EnvironmentError::ControlGroups(error));
        }
        let common = Arc::new(Common {
            config: Arc::clone(config),
            slots,
            keeper: Arc::new(keeper),
            watchdog,
            counts: Counts::default(),
            images: ImageRoom::new(),
            checkpoints,
            closing: watch::Sender::new(false),
        });
        let Common { slots, keeper, watchdog, checkpoints, .. } = &*common;
        let heir = Heir { config, slots, watchdog, keeper, bases: checkpoints.bases() };
        let (mut nests, inherited) = heir.inherit(entries).await;
        let has_inherited = !nests.is_empty() || !inherited.ended.is_empty();
        let current = |planned: &Planned<'_>| {
            let index = nests.iter().position(|nest| planned.is_of(nest))?;
            Some(nests.swap_remove(index))
        };
        let current = planned.iter().map(current).collect();
        let current = match start_missing(&planned, current, &common).await {
            Ok(current) => current,
            Err(error) => {
                // What is inherited stays with the keeper; what is not has left nothing.
                if !has_inherited {
                    keeper.end().await;
                    clear(&[plan]);
                }
                return Err(error);
            }
        };
        for nest in &nests {
            nest.retire();
            let (nest, keeper) = (Arc::clone(nest), Arc::clone(keeper));
            tokio::spawn(async move {
                nest.gone().await;
                keeper.remove(&nest_key(&nest.note.name)).await;
            });
        }
        let each = planned.into_iter().zip(current).map(|(Planned { name, config, plan }, nest)| {
            Arc::new(Environment::new(name, plan, config, nest, Arc::clone(&common)))
        });
        Ok((Self { each: each.collect(), retired: nests, common }, inherited))
    }

    pub(crate) fn get(&self, name: &EnvironmentName) -> Option<&Arc<Environment>> {
        self.each.iter().find(|environment| environment.name == *name)
    }

    /// A session of each that nobody uses, to prove that the wall can be put up. Returns what that of the first reported.
    pub(crate) async fn prove(&self) -> Result<Status, SessionError> {
        let mut status = None;
        for environment in &self.each {
            let proven = environment.prove().await?;
            status.get_or_insert(proven);
        }
        status.ok_or_else(|| SessionError::NoEnvironment { name: EnvironmentName::default() })
    }

    /// Has every keeper know of the nests that only see their sessions to the end. Never returns.
    pub(crate) async fn keep_retired(&self) {
        let keeper = &self.common.keeper;
        let mut generation = keeper.generation();
        loop {
            keeper.later_than(generation).await;
            generation = keeper.generation();
            for nest in self.retired.iter().filter(|nest| nest.is_up()) {
                keep_nest(nest, keeper).await;
            }
        }
    }

    /// Ends every nest and every session, for good, and clears away what they leave.
    pub(crate) async fn end(&self) {
        let Common { closing, slots, keeper, .. } = &*self.common;
        closing.send_replace(true);
        let mut nests = self.retired.clone();
        for environment in &self.each {
            nests.push(environment.last_nest().await);
        }
        let plans: Vec<Plan> = nests.iter().map(|nest| nest.plan().clone()).collect();
        let mut ending = JoinSet::new();
        for nest in nests {
            ending.spawn(async move { nest.end().await });
        }
        // Where one cannot run, the runtime is going down; the next server finds what is left.
        while ending.join_next().await.is_some() {}
        slots.close().await;
        let _ = tokio::task::spawn_blocking(move || clear(&plans)).await;
        keeper.end().await;
    }
}

/// A nest for each of them: its current one, or else another, all of which are started at once. Where one cannot be started,
/// the others are ended again.
async fn start_missing(
    planned: &[Planned<'_>],
    mut current: Vec<Option<Arc<Nest>>>,
    common: &Arc<Common>,
) -> Result<Vec<Arc<Nest>>, EnvironmentError> {
    let mut starting = JoinSet::new();
    for (index, (Planned { name, plan, .. }, _)) in
        planned.iter().zip(&current).enumerate().filter(|(_, (_, nest))| nest.is_none())
    {
        let (name, plan, common) = (name.clone(), plan.clone(), Arc::clone(common));
        starting.spawn(async move {
            let started = start_nest(&name, &plan, &common).await;
            (index, started.map_err(|error| EnvironmentError::from(error).of(&name)))
        });
    }
    let (mut started, mut failure) = (Vec::new(), None);
    while let Some(joined) = starting.join_next().await {
        match joined? {
            (index, Ok(nest)) => started.push((index, nest)),
            (_, Err(error)) => failure = failure.or(Some(error)),
        }
    }
    if let Some(failure) = failure {
        for (_, nest) in started {
            nest.end().await;
            common.keeper.remove(&nest_key(&nest.note.name)).await;
        }
        return Err(failure);
    }
    for (index, nest) in started {
        current[index] = Some(nest);
    }
    Ok(current.into_iter().flatten().collect())
}

/// Before anything is made by it: whoever clears up must know of that.
async fn keep_plan(plan: &Plan, keeper: &Keeper) -> Result<(), KeeperError> {
    let bytes = serde_json::to_vec(plan).map_err(io::Error::from)?;
    let file = eggbox_sandbox::memory_file(c"plan", &bytes)?;
    Ok(keeper.put(PLAN_KEY, String::new(), &[file.as_fd()]).await?)
}

/// Removes the control groups that nobody is in any more.
fn clear(plans: &[Plan]) {
    for plan in plans {
        if let Err(error) = leftovers::clear_groups(plan) {
            tracing::error!(%error, "failed to clear away what sessions have left");
        }
    }
}

/// Returns when this has become true.
pub(crate) fn is_true(flag: &watch::Sender<bool>) -> impl Future<Output = ()> + use<> {
    let mut flag = flag.subscribe();
    async move {
        if flag.wait_for(|is_true| *is_true).await.is_err() {
            // It cannot become true any more.
            std::future::pending::<()>().await;
        }
    }
}
