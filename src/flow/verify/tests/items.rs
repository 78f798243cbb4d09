//! Items that a proof can not go by.

use std::fs;

use crate::flow::job::Job;
use crate::flow::tests::lab::{Lab, is_counted, is_far, tells};
use crate::flow::verify::Depth;
use crate::settings::OnBadRow;
use crate::stop::{EXIT_AGAIN, EXIT_COMPLETE, Stop};
use crate::wire::checkpoint::{Checkpoint, Status};

/// No broker was ever reached: nothing is pinned yet, and nobody has overwritten anything.
#[test]
fn a_job_that_was_only_taken() {
    for status in [Status::InProgress, Status::Interrupted, Status::Failed] {
        let item =
            Checkpoint { job_id: "j".to_owned(), status: Some(status), ..Checkpoint::default() };
        let reader = Job::reader("j".into(), String::new(), 1);
        let stop = reader.of_item(&item, Vec::new()).unwrap_err();
        assert!(matches!(stop, Stop::NotYetComplete { .. }), "{stop:?}");
        assert_eq!(stop.exit_code(), EXIT_AGAIN);
    }
}

/// It is refused where a number can not be; where it can, the partition is beside it.
#[test]
fn a_damaged_item() {
    let text = "id,name\n1,a\n2\n3,c\n";
    let set_aside =
        |job: &mut Job| job.on_bad_row = OnBadRow::SetAside { topic: "dead".to_owned() };
    let lab = Lab::new(text).with(set_aside).load();
    let ledger = fs::read(lab.dir.join("ledger.json")).unwrap();
    let good: serde_json::Value = serde_json::from_slice(&ledger).unwrap();
    for (path, value, item) in lab.damages() {
        for depth in [Depth::Full, Depth::Headers] {
            lab.put(&item);
            let proof = lab.verify(depth, false);
            if is_far(&value) && is_counted(&path) {
                let stop = proof.unwrap_err();
                assert!(tells(&stop, &path), "{path} = {value}: {stop}");
            } else if let Err(stop) = proof {
                assert_ne!(stop.exit_code(), EXIT_COMPLETE, "{path} = {value}: {stop}");
            }
        }
    }
    for (lost, missing) in [
        ("producers", "producers"),
        ("dlq_producers", "dlq_producers"),
        ("dlq_rows", "last_line is 3, but total_sent and dlq_rows are 2 and 0"),
    ] {
        let mut item = good.clone();
        if lost.ends_with("producers") {
            item["j"][lost] = serde_json::Value::Array(Vec::new());
        } else {
            item["j"].as_object_mut().unwrap().remove(lost);
        }
        lab.put(&item);
        let stop = lab.verify(Depth::Full, false).unwrap_err();
        assert!(stop.to_string().contains(missing), "{lost}: {stop}");
    }
}
