//! Plans of the configurations that come with headend, and of one that does not fit.

use super::*;
use crate::placement::report::Verdict;

fn configuration(name: &str) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name);
    let overrides = Overrides { state_dir: Some("/state".into()), ..Overrides::default() };
    config::load(&path, &overrides).map_err(|report| report.to_string()).unwrap()
}

fn written(text: &str) -> Plan {
    config::parse("a.toml", text, &Overrides::default()).map_err(|report| report.to_string()).unwrap()
}

fn two_cores() -> Inventory {
    Inventory::new(2, 2, 8 << 30, 6 << 30)
}

#[test]
fn two_cores_carry_the_embedded_default_with_room_to_spare() {
    let plan = Plan { admission: placement::Admission::Strict, ..configuration("headend.toml") };
    let report = planned(&plan, &two_cores());
    assert!(!report.refuses() && report.channels[0].verdict == Verdict::Admitted, "{}", report.table());
    assert!(report.cores.used < 0.7);
}

#[test]
fn two_cores_refuse_nothing_of_the_examples_but_what_requires_a_device() {
    for name in ["headend.toml", "broadcast.toml", "failover.toml", "nvidia.toml"] {
        let report = planned(&configuration(name), &two_cores());
        let refused: Vec<&Row> = report.channels.iter().filter(|row| row.verdict == Verdict::Refused).collect();
        assert!(refused.iter().all(|row| row.device == "require"), "{name}\n{}", report.table());
        assert_eq!(refused.len(), usize::from(name == "nvidia.toml"), "{name}");
    }
}

#[test]
fn strict_admission_refuses_what_two_cores_do_not_carry_and_best_effort_goes_first() {
    let channel =
        |name: &str, priority: &str| format!("[[channel]]\nname = \"{name}\"\nladder = \"small\"\nrate = 50\npriority = \"{priority}\"\n");
    let text = format!("admission = \"strict\"\n{}{}{}", channel("spare", "best-effort"), channel("a", "main"), channel("b", "main"));
    let report = planned(&written(&text), &two_cores());
    let verdicts: Vec<(&str, Verdict)> = report.channels.iter().map(|row| (row.channel.as_str(), row.verdict)).collect();
    assert_eq!(verdicts, [("spare", Verdict::Refused), ("a", Verdict::Admitted), ("b", Verdict::Refused)], "{}", report.table());
    assert!(report.channels[2].reason.contains(" cores of 0.4 free"), "{}", report.channels[2].reason);
    assert!(!planned(&written(&text), &Inventory::new(8, 8, 8 << 30, 0)).refuses());
}

#[test]
fn a_copy_takes_no_seat_and_a_wildcard_as_many_as_it_may_open() {
    let text = "[[channel]]\nname = \"relay\"\nladder = \"copy\"\n[[channel]]\nname = \"w-*\"\nladder = \"small\"\nmax_channels = 3\n";
    let report = planned(&written(text), &Inventory::new(16, 16, 8 << 30, 0));
    let names: Vec<(&str, Option<&str>)> = report.channels.iter().map(|row| (row.channel.as_str(), row.seat.as_deref())).collect();
    assert_eq!(names, [("relay", Some("copy")), ("w-*01", Some("software")), ("w-*02", Some("software")), ("w-*03", Some("software"))]);
}

#[test]
fn the_table_says_it_all_in_columns() {
    let table = planned(&configuration("headend.toml"), &two_cores()).table();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["CHANNEL", "SEAT", "CORES", "MEMORY", "SESSIONS", "FALLBACK", "VERDICT", "REASON"][..].to_vec()
    );
    assert!(lines[1].starts_with("demo     software  0.5"), "{table}");
    assert!(table.contains("of 1.50 that channels may have on 2.00"), "{table}");
}

#[test]
fn an_inventory_is_read_as_either_command_prints_it() {
    let inventory = Inventory { nvidia: DeviceReport { driver: Some("550".into()), ..DeviceReport::default() }, ..two_cores() };
    let printed = serde_json::to_vec(&inventory).unwrap();
    assert_eq!(inventory_of(&printed).unwrap(), inventory);
    let mut machine = serde_json::to_value(&inventory).unwrap();
    let nvidia = machine.as_object_mut().unwrap().remove("nvidia").unwrap();
    let probed = serde_json::json!({ "version": "1", "cores": 2, "inventory": machine, "nvidia": nvidia });
    assert_eq!(inventory_of(probed.to_string().as_bytes()).unwrap(), inventory);
    let without = serde_json::json!({ "inventory": { "cores_allowed": 4 }, "nvidia": { "absent": "none", "gpus": [] } });
    assert_eq!(inventory_of(without.to_string().as_bytes()).unwrap().cores(), 4.0);
    for wrong in ["", "{}", "[]", "{\"cores_allowed\": \"two\"}"] {
        assert!(inventory_of(wrong.as_bytes()).is_err(), "{wrong}");
    }
}
