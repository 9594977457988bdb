//! What happens to a request before a key is chosen: is it for the pool's origin, may it be served, and what of it must
//! not go out (I1, I2).

use http::Version;
use http::request::Parts;
use http::uri::PathAndQuery;

use super::hygiene::{self, Rules};
use super::layer::Settings;
use super::party::Party;
use super::refusal::Refusal;
use crate::clock::Timestamp;
use crate::origin::check_path;

/// Where a request goes.
#[derive(Debug)]
pub(super) enum Route {
    /// To the pool's origin, with a key; in a commune, on somebody's behalf. And when that was found out.
    Serve(Option<Party>, Timestamp),
    /// To another origin, untouched: only for the application itself, never for the strangers of a commune.
    Pass,
}

/// Routes a request; one that is to be served is made fit for a key.
pub(super) fn prepare(settings: &Settings, head: &mut Parts) -> Result<Route, Refusal> {
    let is_commune = settings.pool.is_commune();
    if !is_ours(settings, head)? {
        return if is_commune { Err(Refusal::WrongOrigin) } else { Ok(Route::Pass) };
    }
    let now = settings.pool.now();
    let party = is_commune.then(|| Party::read(settings, head, now)).transpose()?;
    strip(settings, head);
    Ok(Route::Serve(party, now))
}

/// Whether a request is for the pool's origin.
fn is_ours(settings: &Settings, head: &mut Parts) -> Result<bool, Refusal> {
    if settings.rebase {
        return rebase(settings, head).map(|()| true);
    }
    let origin = settings.pool.origin();
    match head.uri.authority() {
        None => Err(Refusal::NoOrigin),
        Some(_) if !origin.is_origin_of(&head.uri) => Ok(false),
        Some(_) if hygiene::is_upgrade(head) => Err(Refusal::Upgrade),
        Some(_) => {
            check_path(head.uri.path_and_query().map_or("/", PathAndQuery::as_str))?;
            Ok(origin.covers(&head.uri))
        }
    }
}

/// As a server receives it: a path, which goes to the pool's origin; or a whole URI, which must be the pool's own.
fn rebase(settings: &Settings, head: &mut Parts) -> Result<(), Refusal> {
    let origin = settings.pool.origin();
    if hygiene::is_upgrade(head) {
        return Err(Refusal::Upgrade);
    }
    // HTTP/2 has no Host header: its authority is what a client wrote there, and decides as little.
    let named = head.uri.authority().is_some() && head.version < Version::HTTP_2;
    if named && !origin.is_origin_of(&head.uri) {
        return Err(Refusal::WrongOrigin);
    }
    head.uri = if named {
        origin.relocate(&head.uri, origin)?
    } else {
        origin.rebase(head.uri.path_and_query().ok_or(Refusal::NoOrigin)?)?
    };
    // The version is that of the caller's connection; the client chooses its own.
    head.version = Version::default();
    Ok(())
}

fn strip(settings: &Settings, head: &mut Parts) {
    let query = settings.pool.provider().queries();
    hygiene::request(head, &Rules { keep: &settings.keep, query, scrub: settings.scrub });
}
