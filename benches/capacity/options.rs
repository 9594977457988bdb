//! What can be chosen on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::simulation::{Arrivals, Counting, Kind, MINUTE, Tells, Terms};

/// Simulates clients of a provider that limits its keys
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// How many keys there are
    #[arg(long, value_delimiter = ',', default_value = "1,10,200")]
    pub(crate) keys: Vec<usize>,
    /// Shares of the sum of limits that are offered
    #[arg(long, value_delimiter = ',', default_value = "0.5,0.8,1,1.2,1.5,2")]
    pub(crate) loads: Vec<f64>,
    /// Only clients with this in their names
    #[arg(long, default_value = "")]
    pub(crate) client: String,
    /// How the provider counts
    #[arg(long, value_enum, default_value = "bucket")]
    pub(crate) counting: Counts,
    /// When requests come
    #[arg(long, value_enum, default_value = "poisson")]
    pub(crate) arrivals: Comes,
    /// How many requests a key may make in a minute
    #[arg(long, default_value_t = 60)]
    pub(crate) requests: u64,
    /// How many tokens a key may use in a minute; a request uses 1000 in the mean
    #[arg(long, default_value_t = 120_000)]
    pub(crate) tokens: u64,
    /// The share of requests that meet a 500
    #[arg(long, default_value_t = 0.0)]
    pub(crate) faults: f64,
    /// What all numbers are drawn from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Where the picture goes
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/capacity.svg"))]
    pub(crate) svg: PathBuf,
    /// Said by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// How a provider counts.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Counts {
    /// A bucket that holds a minute's worth
    Bucket,
    /// A bucket that holds a second's worth
    SmallBucket,
    /// What was used in the last minute
    Sliding,
    /// What was used in this minute of the clock
    Fixed,
}

/// When requests come.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Comes {
    /// Independently of each other
    Poisson,
    /// In equal distances
    Even,
}

impl From<Counts> for Counting {
    fn from(counts: Counts) -> Self {
        match counts {
            Counts::Bucket => Self::Bucket(MINUTE),
            Counts::SmallBucket => Self::Bucket(Duration::from_secs(1)),
            Counts::Sliding => Self::Sliding,
            Counts::Fixed => Self::Fixed,
        }
    }
}

impl From<Comes> for Arrivals {
    fn from(comes: Comes) -> Self {
        match comes {
            Comes::Poisson => Self::Poisson,
            Comes::Even => Self::Even,
        }
    }
}

impl Options {
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| kind.name().contains(&self.client)).collect()
    }

    pub(crate) fn terms(&self) -> Terms {
        let Self { requests, tokens, faults, .. } = *self;
        Terms { counting: self.counting.into(), requests, tokens, tells: Tells::Everything, faults }
    }
}
