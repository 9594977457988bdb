//! How a key is chosen for a request, and how it is treated for what came of it.
#![allow(clippy::doc_markdown, reason = "doc comments here are the text of --help")]

use std::fmt;

use clap::{ArgAction, Args, ValueEnum};
use jiff::civil::Time;
use key_commune::demand::{Routing, Source};
use key_commune::pool::{Builder, KeyPool};
use key_commune::preset;
use key_commune::provider::Provider;
use key_commune::select::{FillFirst, LeastUsed, PeakEwma, RoundRobin, Sticky, TwoChoices};

use crate::Problem;
use crate::cli::{Mode, Serve};

const HEADING: &str = "Which key serves";

#[derive(Args)]
pub(crate) struct Choosing {
    /// How a key is chosen among those that can serve a request. Default: two-choices, or that of --preset
    #[arg(long, help_heading = HEADING, value_name = "NAME", value_enum)]
    strategy: Option<Strategy>,
    /// Do as a predecessor did: its strategy, and how long a key rests after which failure
    #[arg(long, help_heading = HEADING, value_name = "NAME", value_enum)]
    preset: Option<Preset>,
    /// Forget strikes, and end the rests that come of them, every day at this time UTC, such as 08:00: for providers whose limits
    /// begin anew then. A rest whose end the provider has named goes on
    #[arg(long, help_heading = HEADING, value_name = "HH:MM", value_parser = time_of_day)]
    daily_reset: Option<Time>,
    /// Hold a key that was throttled to the pace that this has shown, and lead it slowly beyond: few requests are
    /// spent on finding out limits that nobody has told. Default: true, or that of --preset
    #[arg(long, help_heading = HEADING, value_name = "BOOL", action = ArgAction::Set)]
    learn_pace: Option<bool>,
    /// Ask no key for more than good answers say is left of its limits
    #[arg(long, help_heading = HEADING, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub(crate) heed_limits: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Strategy {
    /// The less busy of two drawn by lot
    TwoChoices,
    /// Each in its turn
    RoundRobin,
    /// The one used least today
    LeastUsed,
    /// The same for all requests of a session, found in headers, body or query; without a session, two-choices
    Sticky,
    /// Of two drawn by lot the one that answers sooner, with what it has under way
    PeakEwma,
    /// Always the first that can
    FillFirst,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// Key Commune, in a commune: the better of the next two; 429 blocks for minutes, doubled each time, 401 for a day
    KeyCommune,
    /// KeyCycleProxy: each in its turn, and no failure is remembered; a body that does not name its model is refused with 400
    KeyCycle,
    /// api-key-lb: a session keeps its key, all else goes with the first; 429 rests a key for a minute
    ApiKeyLb,
    /// The rotator library: rests of 10, 30, 60, 120 s and 2 h
    Rotator,
}

impl Choosing {
    /// Whether the options make sense together.
    pub(crate) fn check(&self, options: &Serve, mode: Mode) -> Result<(), Problem> {
        match (self.preset, mode) {
            (Some(Preset::KeyCommune), Mode::Private) => {
                Err("--preset key-commune is for a commune: give no keys, or --mode commune".into())
            }
            (Some(Preset::KeyCommune), _) if options.rate_per_caller.is_some() || options.credit.is_some() => {
                Err("--preset key-commune has rules for callers; leave out --rate-per-caller and --credit".into())
            }
            (Some(Preset::KeyCommune) | None, _) | (_, Mode::Private) => Ok(()),
            (Some(preset), Mode::Commune) => {
                let name = name(&preset);
                Err(format!("--preset {name} is for keys of the operator's: give keys, or --mode private"))
            }
        }
    }

    /// A pool that chooses so.
    pub(crate) fn builder(&self, row: Provider) -> Builder {
        let builder = match self.preset {
            None => KeyPool::builder(row),
            Some(Preset::KeyCommune) => preset::key_commune(row),
            Some(Preset::KeyCycle) => preset::key_cycle(row),
            Some(Preset::ApiKeyLb) => preset::api_key_lb(row),
            Some(Preset::Rotator) => preset::rotator(row),
        };
        let builder = self.daily_reset.into_iter().fold(builder, reset);
        let builder = self.learn_pace.into_iter().fold(builder, Builder::learn_pace);
        match self.strategy {
            None => builder,
            Some(Strategy::TwoChoices) => builder.select(TwoChoices),
            Some(Strategy::RoundRobin) => builder.select(RoundRobin::default()),
            Some(Strategy::LeastUsed) => builder.select(LeastUsed),
            Some(Strategy::Sticky) => builder.select(Sticky::new(TwoChoices)),
            Some(Strategy::PeakEwma) => builder.select(PeakEwma::default()),
            Some(Strategy::FillFirst) => builder.select(FillFirst),
        }
    }

    /// Whether the preset says by itself who may come how often.
    pub(crate) fn rules_callers(&self) -> bool {
        self.preset == Some(Preset::KeyCommune)
    }

    /// What has to be known of a request for that: models aside, but for a preset that insists on them.
    pub(crate) fn routing(&self) -> Routing {
        match (self.strategy, self.preset) {
            (Some(Strategy::Sticky), Some(Preset::KeyCycle)) => Routing::key_cycle().sessions(Source::usual()),
            (Some(Strategy::Sticky), _) => Routing::new(),
            (_, Some(Preset::KeyCycle)) => Routing::key_cycle(),
            (None, Some(Preset::ApiKeyLb)) => Routing::api_key_lb(),
            _ => Routing::new().sessions([]),
        }
    }
}

impl fmt::Display for Choosing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.strategy, self.preset) {
            (None, None) => f.write_str("two-choices"),
            (Some(strategy), None) => f.write_str(&name(&strategy)),
            (None, Some(preset)) => write!(f, "that of the preset {}", name(&preset)),
            (Some(strategy), Some(preset)) => write!(f, "{}; else the preset {}", name(&strategy), name(&preset)),
        }?;
        self.daily_reset.iter().try_for_each(|time| write!(f, "; a new day at {time} UTC"))
    }
}

fn time_of_day(text: &str) -> Result<Time, &'static str> {
    text.parse().map_err(|_| "a time of day is needed, such as 08:00")
}

fn reset(builder: Builder, time: Time) -> Builder {
    builder.daily_reset(time.duration_since(Time::midnight()).unsigned_abs())
}

/// As it is given.
fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
