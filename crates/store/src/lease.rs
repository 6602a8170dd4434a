use crate::backend::Seen;
use crate::cell::CellId;
use crate::error::{Result, StoreError};
use crate::store::Store;
use segad_core::{CellKind, Key};
use segad_files::Owner;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Who computes a cell, and until when others should assume so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub owner: Owner,
    /// Milliseconds after 1970 (UTC) at which the lease ends unless it is refreshed.
    pub expires_ms: u64,
    /// Distinguishes two leases of one process.
    nonce: String,
}

/// What became of [`Store::try_lease`].
#[derive(Debug)]
pub enum TryLease {
    /// The cell is ours to compute.
    Taken(Lease),
    /// Another process computes it; `None` if it has created the lease but not filled it yet.
    Held(Option<Holder>),
}

/// The right to compute a cell, extended by [`Lease::refresh`] and released when dropped.
///
/// A lease saves work; it does not guard the data. Should two workers ever hold the same one
/// (clocks apart by more than the time to live, or two taking over at the same instant), both
/// compute and the second publish is a no-op.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    id: CellId,
    holder: Holder,
}

impl Store {
    /// Tries to get the lease of a cell. `ttl` must exceed the time between two
    /// refreshes and the difference of the machines' clocks; object stores go by the clock of their
    /// service and ignore `now`. A lease that expired, or whose process on this machine is dead, is
    /// taken over.
    ///
    /// # Errors
    /// [`StoreError::OpenForReading`], [`StoreError::File`].
    pub fn try_lease(
        &self,
        kind: CellKind,
        key: &Key,
        now: SystemTime,
        ttl: Duration,
    ) -> Result<TryLease> {
        self.check_writable()?;
        let id = CellId { kind, key: *key };
        let backend = self.backend();
        let now = backend.now(now)?;
        let owner = Owner::current();
        let holder = Holder {
            owner: owner.clone(),
            expires_ms: millis(now, ttl),
            nonce: owner.unique_tag(),
        };
        let bytes = encode(id, &holder)?;
        // A turn that neither gets the lease nor finds it held lost a race; a few are enough.
        for _ in 0..8 {
            let taken = backend.create_lease(id, &bytes)?
                || match self.look(id, now, ttl)? {
                    Look::Gone => false,
                    Look::Held(other) => return Ok(TryLease::Held(other)),
                    Look::Stale(seen) => backend.take_over(id, &seen, &bytes)?,
                };
            if taken {
                let store = self.clone();
                return Ok(TryLease::Taken(Lease { store, id, holder }));
            }
        }
        Ok(TryLease::Held(None))
    }

    /// The holder of a cell's lease at `now`, if there is one.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn holder(&self, kind: CellKind, key: &Key, now: SystemTime) -> Result<Option<Holder>> {
        let now = self.backend().now(now)?;
        match self.look(CellId { kind, key: *key }, now, Duration::ZERO)? {
            Look::Held(holder) => Ok(holder),
            Look::Gone | Look::Stale(_) => Ok(None),
        }
    }

    fn look(&self, id: CellId, now: SystemTime, ttl: Duration) -> Result<Look> {
        let Some(seen) = self.backend().lease(id)? else {
            return Ok(Look::Gone);
        };
        match serde_json::from_slice::<Holder>(&seen.bytes) {
            Ok(holder)
                if holder.expires_ms > millis(now, Duration::ZERO) && !holder.owner.is_dead() =>
            {
                Ok(Look::Held(Some(holder)))
            }
            // Created and not yet filled, or cut short by a crash: held for one time to live.
            Err(_) if seen.written + ttl > now => Ok(Look::Held(None)),
            Ok(_) | Err(_) => Ok(Look::Stale(seen)),
        }
    }
}

enum Look {
    Gone,
    Held(Option<Holder>),
    Stale(Seen),
}

impl Lease {
    /// The cell.
    pub fn id(&self) -> CellId {
        self.id
    }

    /// The content of the lease.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Extends the lease to `now + ttl`. False if another process took it over after it expired;
    /// continuing is harmless but duplicates work.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn refresh(&mut self, now: SystemTime, ttl: Duration) -> Result<bool> {
        let Some(seen) = self.ours()? else {
            return Ok(false);
        };
        let backend = self.store.backend();
        let expires_ms = millis(backend.now(now)?, ttl);
        let holder = Holder {
            expires_ms,
            ..self.holder.clone()
        };
        let renewed = backend.renew(self.id, &seen, &encode(self.id, &holder)?)?;
        self.holder = holder;
        Ok(renewed)
    }

    /// The lease as it is now, if nobody took it over.
    fn ours(&self) -> Result<Option<Seen>> {
        let seen = self.store.backend().lease(self.id)?;
        Ok(seen.filter(|seen| {
            let found = serde_json::from_slice::<Holder>(&seen.bytes);
            found.is_ok_and(|h| h.nonce == self.holder.nonce)
        }))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let released = match self.ours() {
            Ok(Some(_)) => self.store.backend().release(self.id),
            ours => ours.map(|_| ()),
        };
        if let Err(e) = released {
            tracing::warn!(error = %e, "the lease stays until it expires");
        }
    }
}

fn encode(id: CellId, holder: &Holder) -> Result<Vec<u8>> {
    serde_json::to_vec(holder).map_err(|e| StoreError::invalid(Path::new(&id.record()), e))
}

/// Milliseconds after 1970 of `now + ttl`; a clock before 1970 counts as 1970.
fn millis(now: SystemTime, ttl: Duration) -> u64 {
    let since = now
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .saturating_add(ttl);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Folder;
    use std::path::PathBuf;

    const TTL: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    fn fresh() -> (tempfile::TempDir, Store, Key) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        (dir, store, Key::of_bytes(b"cell"))
    }

    fn taken(lease: TryLease) -> Lease {
        match lease {
            TryLease::Taken(lease) => lease,
            TryLease::Held(by) => panic!("held by {by:?}"),
        }
    }

    fn path(store: &Store, key: &Key) -> PathBuf {
        store.root().join(format!("v1/lease/maps-{key}.json"))
    }

    fn plant(store: &Store, key: &Key, owner: Owner, expires: SystemTime) {
        let id = CellId {
            kind: CellKind::Maps,
            key: *key,
        };
        let holder = Holder {
            owner,
            expires_ms: millis(expires, Duration::ZERO),
            nonce: "other".into(),
        };
        segad_files::write_atomic(&path(store, key), &encode(id, &holder).unwrap()).unwrap();
    }

    #[test]
    fn one_holds_it_until_dropped() {
        let (_dir, store, key) = fresh();
        let lease = taken(store.try_lease(CellKind::Maps, &key, at(0), TTL).unwrap());
        match store.try_lease(CellKind::Maps, &key, at(59), TTL).unwrap() {
            TryLease::Held(Some(by)) => assert_eq!(by.owner.pid, std::process::id()),
            other => panic!("{other:?}"),
        }
        assert!(
            store
                .holder(CellKind::Maps, &key, at(59))
                .unwrap()
                .is_some()
        );
        taken(store.try_lease(CellKind::Fit, &key, at(0), TTL).unwrap()); // another cell
        drop(lease);
        assert!(
            store
                .holder(CellKind::Maps, &key, at(59))
                .unwrap()
                .is_none()
        );
        taken(store.try_lease(CellKind::Maps, &key, at(59), TTL).unwrap());
    }

    #[test]
    fn an_expired_lease_is_taken_over_and_the_loser_learns_it() {
        let (_dir, store, key) = fresh();
        let mut slow = taken(store.try_lease(CellKind::Maps, &key, at(0), TTL).unwrap());
        let quick = taken(store.try_lease(CellKind::Maps, &key, at(61), TTL).unwrap());
        assert!(!slow.refresh(at(62), TTL).unwrap());
        drop(slow); // must not remove the other's
        assert_eq!(
            store.holder(CellKind::Maps, &key, at(62)).unwrap().as_ref(),
            Some(quick.holder())
        );
    }

    #[test]
    fn a_heartbeat_keeps_it() {
        let (_dir, store, key) = fresh();
        let mut lease = taken(store.try_lease(CellKind::Maps, &key, at(0), TTL).unwrap());
        assert!(lease.refresh(at(50), TTL).unwrap());
        assert!(matches!(
            store.try_lease(CellKind::Maps, &key, at(109), TTL).unwrap(),
            TryLease::Held(Some(_))
        ));
        taken(store.try_lease(CellKind::Maps, &key, at(111), TTL).unwrap());
    }

    #[test]
    fn a_dead_process_holds_nothing_here_but_may_elsewhere() {
        let (_dir, store, key) = fresh();
        let dead = Owner {
            pid: 0x7fff_fff0,
            ..Owner::current().clone()
        };
        plant(&store, &key, dead.clone(), at(1000));
        taken(store.try_lease(CellKind::Maps, &key, at(0), TTL).unwrap());
        plant(
            &store,
            &key,
            Owner {
                machine: "f".repeat(16),
                ..dead
            },
            at(1000),
        );
        assert!(matches!(
            store.try_lease(CellKind::Maps, &key, at(0), TTL).unwrap(),
            TryLease::Held(Some(_))
        ));
        taken(
            store
                .try_lease(CellKind::Maps, &key, at(1000), TTL)
                .unwrap(),
        );
    }

    #[test]
    fn an_unreadable_lease_counts_for_one_time_to_live() {
        let (_dir, store, key) = fresh();
        let path = path(&store, &key);
        segad_files::write_atomic(&path, b"").unwrap();
        let (_, written) = segad_files::size_and_time(&path).unwrap();
        let lease = store.try_lease(CellKind::Maps, &key, written, TTL).unwrap();
        assert!(matches!(lease, TryLease::Held(None)));
        taken(
            store
                .try_lease(CellKind::Maps, &key, written + TTL, TTL)
                .unwrap(),
        );
    }

    #[test]
    fn a_lease_replaced_meanwhile_is_put_back() {
        let (_dir, store, key) = fresh();
        let path = path(&store, &key);
        let lease = taken(store.try_lease(CellKind::Maps, &key, at(0), TTL).unwrap());
        Folder::new(store.root())
            .take_away(&path, b"the stale one that was seen")
            .unwrap();
        assert!(lease.ours().unwrap().is_some());
    }

    #[test]
    fn of_many_one_wins() {
        let (_dir, store, key) = fresh();
        plant(&store, &key, Owner::current().clone(), at(0)); // expired: all try to take over
        let barrier = std::sync::Barrier::new(8);
        let leases: Vec<_> = std::thread::scope(|s| {
            let runs: Vec<_> = (0..8)
                .map(|_| {
                    s.spawn(|| {
                        barrier.wait();
                        store.try_lease(CellKind::Maps, &key, at(1), TTL).unwrap()
                    })
                })
                .collect();
            runs.into_iter().map(|r| r.join().unwrap()).collect()
        });
        let ours = leases
            .iter()
            .filter(|l| matches!(l, TryLease::Taken(lease) if lease.ours().unwrap().is_some()))
            .count();
        assert_eq!(ours, 1);
    }
}
