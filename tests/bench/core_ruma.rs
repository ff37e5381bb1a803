// The work of bench_core done by the crate ruma-state-res: reads what `bench_core dump` wrote, resolves, compares, prints
// JSON. core.py puts it into a cargo project of its own in the build folder.
use ruma_common::room_version_rules::{AuthorizationRules, StateResolutionV2Rules};
use ruma_common::{EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use ruma_events::{StateEventType, TimelineEventType};
use ruma_state_res::utils::event_id_set::EventIdSet;
use ruma_state_res::{check_state_dependent_auth_rules, resolve, Event, StateMap};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use cpu_time::ProcessTime;
use std::cell::Cell;
use std::time::Duration;

#[derive(Deserialize)]
struct Pdu {
    id: OwnedEventId,
    room_id: OwnedRoomId,
    #[serde(rename = "type")]
    kind: TimelineEventType,
    sender: OwnedUserId,
    state_key: String,
    content: Box<RawValue>,
    ts: u64,
    prev: Vec<OwnedEventId>,
    auth: Vec<OwnedEventId>,
}

#[derive(Deserialize)]
struct Room {
    version: String,
    events: Vec<Pdu>,
    a: Vec<OwnedEventId>,
    b: Vec<OwnedEventId>,
    resolved: Vec<OwnedEventId>,
}

impl Event for Pdu {
    type Id = OwnedEventId;
    fn event_id(&self) -> &OwnedEventId {
        &self.id
    }
    fn room_id(&self) -> Option<&RoomId> {
        if self.kind == TimelineEventType::RoomCreate && !self.room_id.as_str().contains(':') {
            return None;
        }
        Some(&self.room_id)
    }
    fn sender(&self) -> &UserId {
        &self.sender
    }
    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(self.ts.try_into().unwrap())
    }
    fn event_type(&self) -> &TimelineEventType {
        &self.kind
    }
    fn content(&self) -> &RawValue {
        &self.content
    }
    fn state_key(&self) -> Option<&str> {
        Some(&self.state_key)
    }
    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.prev.iter())
    }
    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.auth.iter())
    }
    fn redacts(&self) -> Option<&OwnedEventId> {
        None
    }
    fn rejected(&self) -> bool {
        false
    }
}

fn chain(events: &HashMap<OwnedEventId, &Pdu>, ids: &[OwnedEventId]) -> EventIdSet<OwnedEventId> {
    let mut out = EventIdSet::new();
    let mut todo: Vec<OwnedEventId> = ids.iter().flat_map(|i| events[i].auth.clone()).collect();
    while let Some(id) = todo.pop() {
        if out.insert(id.clone()) {
            todo.extend(events[&id].auth.iter().cloned());
        }
    }
    out
}

// Events on auth paths between two conflicted ones: a database's business, so its time is taken off.
fn subgraph(events: &HashMap<OwnedEventId, &Pdu>, order: &[Pdu], conflicted: &HashSet<OwnedEventId>) -> EventIdSet<OwnedEventId> {
    let mut below: HashSet<OwnedEventId> = HashSet::new();
    let mut todo: Vec<OwnedEventId> = conflicted.iter().cloned().collect();
    while let Some(id) = todo.pop() {
        if below.insert(id.clone()) {
            todo.extend(events[&id].auth.iter().cloned());
        }
    }
    let mut reaches: HashSet<OwnedEventId> = HashSet::new();
    for e in order {
        if conflicted.contains(&e.id) || e.auth.iter().any(|a| reaches.contains(a)) {
            reaches.insert(e.id.clone());
        }
    }
    below.intersection(&reaches).cloned().collect()
}

fn state(events: &HashMap<OwnedEventId, &Pdu>, ids: &[OwnedEventId]) -> StateMap<OwnedEventId> {
    ids.iter()
        .map(|i| ((StateEventType::from(events[i].kind.to_string()), events[i].state_key.clone()), i.clone()))
        .collect()
}

fn main() {
    let room: Room = serde_json::from_reader(std::io::stdin()).unwrap();
    let events: HashMap<OwnedEventId, &Pdu> = room.events.iter().map(|e| (e.id.clone(), e)).collect();
    let (auth_rules, res_rules) = match room.version.as_str() {
        "12" => (AuthorizationRules::V12, StateResolutionV2Rules::V2_1),
        "11" => (AuthorizationRules::V11, StateResolutionV2Rules::V2_0),
        v => panic!("version {v}"),
    };
    let states = [state(&events, &room.a), state(&events, &room.b)];
    let chains = vec![chain(&events, &room.a), chain(&events, &room.b)];
    let (mut best, mut spent, mut same) = (f64::MAX, 0.0, false);
    for i in 0..1000 {
        if i >= 3 && spent > 1.0 {
            break;
        }
        let given = chains.clone();
        let asked = Cell::new(Duration::ZERO);
        let start = ProcessTime::now();
        let out = resolve(&auth_rules, &res_rules, &states, given, |id| events.get(id).copied(), |conflicted| {
            let from = ProcessTime::now();
            let found = subgraph(&events, &room.events, &conflicted.values().flatten().cloned().collect());
            asked.set(from.elapsed());
            Some(found)
        })
        .unwrap();
        let t = (start.elapsed() - asked.get()).as_secs_f64();
        spent += t;
        best = f64::min(best, t);
        let ours: HashSet<&OwnedEventId> = room.resolved.iter().collect();
        let theirs: HashSet<&OwnedEventId> = out.values().collect();
        same = ours == theirs;
    }
    let start = ProcessTime::now();
    let mut checks = 0u64;
    while start.elapsed().as_secs_f64() < 0.5 {
        for e in &room.events[1..] {
            let _ = check_state_dependent_auth_rules(&auth_rules, e, |kind: &StateEventType, key: &str| {
                let create = (*kind == StateEventType::RoomCreate).then(|| &room.events[0]);
                create.or_else(|| {
                    e.auth.iter().map(|i: &OwnedEventId| events[<OwnedEventId as AsRef<EventId>>::as_ref(i)])
                        .find(|a| a.state_key == key && a.kind.to_string() == kind.to_string())
                })
            });
            checks += 1;
        }
    }
    let rate = checks as f64 / start.elapsed().as_secs_f64();
    println!("{{\"seconds\": {best}, \"auth_per_second\": {rate}, \"same\": {same}}}");
}
