//! How much each key, and all of them together, may be asked for.
#![allow(clippy::doc_markdown, reason = "doc comments here are the text of --help")]

use std::fmt;

use clap::Args;
use key_commune::pool::Limits;

use crate::Problem;
use crate::cli::{Mode, Serve};

const HEADING: &str = "Limits (of the operator's keys)";

/// More is a slip of the pen.
const MOST: u32 = 1_000_000_000;
const MOST_TOKENS: u64 = 1_000_000_000_000;

#[derive(Args)]
pub(crate) struct Limiting {
    /// Requests per second that a key is asked for, evenly spaced. What is beyond a limit goes with another key, waits as
    /// long as --max-wait says, or gets 429 and the time to come back. Default of all limits: none
    #[arg(long, help_heading = HEADING, value_name = "NUMBER", value_parser = requests)]
    rps_per_key: Option<u32>,
    /// Requests per minute that a key is asked for, evenly spaced: 60 are one per second
    #[arg(long, help_heading = HEADING, value_name = "NUMBER", value_parser = requests)]
    rpm_per_key: Option<u32>,
    /// Requests per day, from midnight to midnight UTC, that a key is asked for. They are counted from the start of the proxy
    #[arg(long, help_heading = HEADING, value_name = "NUMBER", value_parser = requests)]
    rpd_per_key: Option<u32>,
    /// Tokens per minute that a key is asked for, of requests and answers: estimated before, by a quarter of the bytes of
    /// the body and its max_tokens, and settled by what the answer says
    #[arg(long, help_heading = HEADING, value_name = "NUMBER", value_parser = tokens)]
    tpm_per_key: Option<u64>,
    /// Requests that a key serves at a time, to the last byte of their answers
    #[arg(long, help_heading = HEADING, value_name = "NUMBER", value_parser = requests)]
    max_concurrent_per_key: Option<u32>,
    /// Requests for the same model that a key serves at a time
    #[arg(long, help_heading = HEADING, value_name = "NUMBER", value_parser = requests)]
    max_concurrent_per_model: Option<u32>,
    /// Requests per second that all keys together are asked for, where a provider counts by address
    #[arg(long, help_heading = HEADING, value_name = "NUMBER", value_parser = requests)]
    rps: Option<u32>,
    /// Requests per minute that all keys together are asked for
    #[arg(long, help_heading = HEADING, value_name = "NUMBER", value_parser = requests)]
    rpm: Option<u32>,
    /// Tokens per minute that all keys together are asked for
    #[arg(long, help_heading = HEADING, value_name = "NUMBER", value_parser = tokens)]
    tpm: Option<u64>,
    /// Requests that all keys together serve at a time
    #[arg(long, help_heading = HEADING, value_name = "NUMBER", value_parser = requests)]
    max_concurrent: Option<u32>,
    /// Requests that may come at once after a pause, where --rps…, --rpm… or --rate-per-caller space them
    #[arg(long, help_heading = HEADING, value_name = "NUMBER", value_parser = requests)]
    pub(crate) burst: Option<u32>,
}

impl Limiting {
    /// Whether the options make sense together.
    pub(crate) fn check(&self, options: &Serve, mode: Mode) -> Result<(), Problem> {
        if mode == Mode::Commune && self.limits_anything() {
            return Err("limits by key and for all keys are for keys of the operator's, given or with --mode private; --rate-per-caller limits the callers of a commune".into());
        }
        if mode == Mode::Private && options.rate_per_caller.is_some() {
            return Err("--rate-per-caller is for a commune, where callers present keys; --rps-per-key, --rps and the like limit what the operator's keys serve".into());
        }
        if mode == Mode::Private && options.max_keys.is_some() {
            return Err(
                "--max-keys is for a commune, where callers bring keys; the operator's keys are all in use".into()
            );
        }
        if mode == Mode::Private && options.credit.is_some() {
            return Err("--credit is for a commune, where callers bring keys".into());
        }
        let paces = [self.rps_per_key, self.rpm_per_key, self.rps, self.rpm];
        if self.burst.is_some() && options.rate_per_caller.is_none() && paces.iter().all(Option::is_none) {
            return Err("--burst: there is no rate to go beyond; give --rps-per-key, --rpm-per-key, --rps, --rpm or, in a commune, --rate-per-caller".into());
        }
        Ok(())
    }

    /// Whether tokens are counted.
    pub(crate) fn counts_tokens(&self) -> bool {
        self.tpm_per_key.is_some() || self.tpm.is_some()
    }

    /// What a key may be asked for.
    pub(crate) fn each(&self) -> Limits {
        self.of_each().limits(self.burst)
    }

    /// What all keys together may be asked for.
    pub(crate) fn all(&self) -> Limits {
        self.of_all().limits(self.burst)
    }

    fn limits_anything(&self) -> bool {
        [self.each(), self.all()].iter().any(|limits| *limits != Limits::default())
    }

    fn of_each(&self) -> Numbers {
        Numbers {
            per_second: self.rps_per_key,
            per_minute: self.rpm_per_key,
            per_day: self.rpd_per_key,
            tokens: self.tpm_per_key,
            concurrent: self.max_concurrent_per_key,
            per_model: self.max_concurrent_per_model,
        }
    }

    fn of_all(&self) -> Numbers {
        Numbers {
            per_second: self.rps,
            per_minute: self.rpm,
            per_day: None,
            tokens: self.tpm,
            concurrent: self.max_concurrent,
            per_model: None,
        }
    }
}

impl fmt::Display for Limiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = [("each key", self.of_each()), ("all keys together", self.of_all())];
        let told = told.iter().filter(|(_, numbers)| !numbers.words().is_empty());
        let told = told.map(|(whose, numbers)| format!("{whose}: {}", numbers.words().join(", ")));
        let mut parts: Vec<_> = told.chain(self.burst.map(|burst| format!("{burst} at once after a pause"))).collect();
        if parts.is_empty() {
            parts.push("none".into());
        }
        f.write_str(&parts.join("; "))
    }
}

type Setter = fn(Limits, u32) -> Limits;

struct Numbers {
    per_second: Option<u32>,
    per_minute: Option<u32>,
    per_day: Option<u32>,
    tokens: Option<u64>,
    concurrent: Option<u32>,
    per_model: Option<u32>,
}

impl Numbers {
    fn limits(&self, burst: Option<u32>) -> Limits {
        let mut limits = Limits::default();
        let setters: [(Option<u32>, Setter); 5] = [
            (self.per_second, Limits::per_second),
            (self.per_minute, Limits::per_minute),
            (self.per_day, Limits::per_day),
            (self.concurrent, Limits::concurrent),
            (self.per_model, Limits::concurrent_per_model),
        ];
        for (number, set) in setters {
            limits = number.into_iter().fold(limits, set);
        }
        limits = self.tokens.into_iter().fold(limits, Limits::tokens_per_minute);
        // Those that come at once are one in time, and the rest of them beyond the pace.
        let burst = burst.filter(|_| self.per_second.or(self.per_minute).is_some());
        burst.into_iter().fold(limits, |limits, burst| limits.burst(burst - 1))
    }

    fn words(&self) -> Vec<String> {
        let numbers = [
            (self.per_second.map(u64::from), "requests/s"),
            (self.per_minute.map(u64::from), "requests/min"),
            (self.per_day.map(u64::from), "requests/day"),
            (self.tokens, "tokens/min"),
            (self.concurrent.map(u64::from), "at a time"),
            (self.per_model.map(u64::from), "at a time for a model"),
        ];
        numbers.iter().filter_map(|(number, unit)| Some(format!("{} {unit}", (*number)?))).collect()
    }
}

fn requests(text: &str) -> Result<u32, Problem> {
    number(text, MOST.into()).map(|number| number as u32)
}

fn tokens(text: &str) -> Result<u64, Problem> {
    number(text, MOST_TOKENS)
}

fn number(text: &str, most: u64) -> Result<u64, Problem> {
    match text.parse() {
        Ok(0) => Err("0 would admit nobody; leave the option out to limit nothing".into()),
        Ok(number) if number <= most => Ok(number),
        _ => Err(format!("a whole number from 1 to {most} is needed")),
    }
}
