//! Scenarios 26 to 32, and what ours does better: an operator's fix heals, chance is tried again, nothing is tried for ever.

use crate::{
    decide::{BuilderState, Retry, SourceState, Verdict, Why, status::conditions},
    resource::build::{Fault, Mode, Outcome},
    testing::{Case, commit},
};

fn why(case: &Case) -> Why {
    match case.decide().verdict {
        Verdict::Held(held) => held.why,
        _ => panic!("{}", case.line()),
    }
}

fn ready(case: &Case) -> String {
    let conditions = conditions(&case.question(), &case.decide());
    format!("{} {}: {}", conditions[0].status.as_str(), conditions[0].reason, conditions[0].message)
}

#[test]
fn scenario_26_what_failed_is_not_tried_again_as_it_is() {
    let mut case = Case::built();
    let latest = case.image.status.latest_image.clone();
    case.commit("broken");
    case.begin();
    case.fail(Fault::App, "the jar has no main class");
    if let Outcome::Failed(failure) = &mut case.builds[1].outcome {
        failure.last_line = Some("no main manifest attribute".to_owned());
    }
    for _ in 0..3 {
        case.now += 1_000_000;
        assert_eq!(why(&case), Why::FailedBefore { build: 2 });
    }
    assert_eq!(
        ready(&case),
        "False BuildFailed: build 2 failed: the jar has no main class (its last line: no main manifest attribute); not built, \
         because the same failed in build 2"
    );
    assert_eq!(case.image.status.latest_image, latest);
    case.trigger();
    assert_eq!(case.begin(), "TRIGGER build", "unless somebody asks");
}

#[test]
fn scenario_27_mended_settings_stand_on_the_last_success() {
    let mut case = Case::built();
    case.env(&[("BP_JVM_VERSION", "99")]);
    case.failing(Fault::App);
    case.env(&[("BP_JVM_VERSION", "21")]);
    assert_eq!(case.start().based_on, Some(1));
    assert_eq!(case.build(), "CONFIG build");
    // Back to what it was before the mistake is a build as well, as in kpack.
    let mut case = Case::built();
    case.env(&[("BP_JVM_VERSION", "99")]);
    case.failing(Fault::App);
    case.env(&[]);
    assert_eq!(case.build(), "CONFIG build");
    assert_eq!(case.line(), "up to date since build 3");
}

/// kpack issue 1198: an image that failed stays so for ever there.
#[test]
fn scenario_28_an_operators_fix_heals() {
    type Fix = fn(&mut Case);
    let fixes: [(&str, Fix); 5] = [
        ("BUILDPACK build", |case| case.buildpacks(&["stave/java@1.0.1", "stave/procfile@1.0.0"])),
        // One that was missing; which one an app lacked, nobody knows.
        ("BUILDPACK build", |case| case.buildpacks(&["stave/java@1.0.0", "stave/procfile@1.0.0", "stave/node@1.0.0"])),
        ("BUILDPACK build", |case| case.revision().order.reverse()),
        ("STACK build", |case| case.run_image("run 2")),
        ("LIFECYCLE build", |case| case.revision().lifecycle = "0.2.0".to_owned()),
    ];
    for (expected, fix) in fixes {
        for mut case in [Case::new(), Case::built()] {
            case.commit("needs more");
            case.failing(Fault::Buildpack);
            assert!(matches!(why(&case), Why::FailedBefore { .. }));
            fix(&mut case);
            assert_eq!(case.build(), expected);
            assert!(case.line().starts_with("up to date"), "{}", case.line());
        }
    }
}

/// kpack would put build 1 on the new stack here, and lose the settings: its rule looks at the reasons alone.
#[test]
fn scenario_28_a_stack_that_heals_a_failed_build_is_no_rebase() {
    let mut case = Case::built();
    case.env(&[("A", "1")]);
    case.failing(Fault::App);
    case.run_image("run 2");
    assert_eq!(
        case.line().rsplit_once("; ").unwrap().1,
        "it is not put on another base only, because more than the run image differs from build 1: CONFIG"
    );
    assert_eq!(case.begin(), "STACK build");
}

#[test]
fn scenario_29_a_second_first_build() {
    let mut case = Case::new();
    case.failing(Fault::App);
    case.commit("c2");
    let start = case.start();
    assert_eq!((start.based_on, start.mode, start.number), (None, Mode::Build, 2));
    assert_eq!(case.build(), "COMMIT build");
}

#[test]
fn scenario_30_and_31_a_build_that_cannot_start_or_takes_too_long_has_failed() {
    for (fault, message) in
        [(Fault::Refused, "the grant tools is missing"), (Fault::Timeout, "it took longer than 60 s")]
    {
        let mut case = Case::new();
        case.begin();
        case.fail(fault, message);
        assert_eq!(
            ready(&case),
            format!("False BuildFailed: build 1 failed: {message}; not built, because the same failed in build 1")
        );
    }
}

#[test]
fn scenario_32_an_old_builder_goes_on() {
    let mut case = Case::built();
    if let BuilderState::Ready { behind, .. } = &mut case.builder {
        *behind = Some("stave/java cannot be read".to_owned());
    }
    let conditions = conditions(&case.question(), &case.decide());
    let told: Vec<String> = conditions.iter().map(|one| format!("{} {}", one.kind, one.status.as_str())).collect();
    assert_eq!(told, ["Ready True", "BuilderReady True", "BuilderUpToDate False"]);
    assert_eq!(conditions[2].message, "the newest stack and buildpacks may not be in use: stave/java cannot be read");
    case.commit("c2");
    assert_eq!(case.build(), "COMMIT build");
}

#[test]
fn what_fails_by_chance_is_tried_again_a_few_times() {
    let mut case = Case::built();
    case.run_image("run 2");
    let retry = Retry::default();
    for attempt in 1..=retry.attempts {
        assert_eq!(case.start().attempt, attempt);
        assert_eq!(case.failing(Fault::Transient), "STACK rebase", "the reason stays what it was");
        if attempt < retry.attempts {
            let build = 1 + u64::from(attempt);
            assert_eq!(why(&case), Why::Pause { build, attempt });
            let pause = retry.pause(attempt);
            case.now += pause - 1;
            assert_eq!(why(&case), Why::Pause { build, attempt });
            case.now += 1;
        }
    }
    case.now += 1_000_000;
    assert_eq!(why(&case), Why::GaveUp { build: 6, attempts: 5 });
    let mut asked = case.clone();
    asked.trigger();
    assert_eq!((asked.start().attempt, asked.begin()), (1, "TRIGGER,STACK build".to_owned()));
    // Other inputs have attempts of their own.
    case.run_image("run 3");
    assert_eq!((case.start().attempt, case.build()), (1, "STACK rebase".to_owned()));
}

#[test]
fn pauses_grow_up_to_a_limit() {
    let retry = Retry::default();
    assert_eq!([1, 2, 3, 4, 8, 100].map(|attempt| retry.pause(attempt)), [30, 60, 120, 240, 3600, 3600]);
    let verdict = |case: &Case| match case.decide().verdict {
        Verdict::Held(held) => held.until,
        _ => panic!("{}", case.line()),
    };
    let mut case = Case::new();
    case.failing(Fault::Interrupted);
    assert_eq!(verdict(&case), Some(case.now + 30));
}

#[test]
fn a_clock_that_was_set_back_holds_nothing_up() {
    let mut case = Case::built();
    case.run_image("run 2");
    case.failing(Fault::Transient);
    assert_eq!(why(&case), Why::Pause { build: 2, attempt: 1 });
    case.now -= 1_000_000;
    assert_eq!(case.start().attempt, 2);
}

#[test]
fn a_first_build_that_failed_by_chance_is_still_the_first() {
    let mut case = Case::new();
    case.failing(Fault::Transient);
    case.now += 30;
    assert_eq!(case.build(), "CONFIG build");
    assert_eq!((case.builds[1].number, case.builds[1].attempt), (2, 2));
}

#[test]
fn what_failed_is_known_again_after_a_detour() {
    let mut case = Case::built();
    case.commit("broken");
    case.failing(Fault::App);
    case.commit("also broken");
    case.failing(Fault::App);
    case.commit("broken");
    assert_eq!(why(&case), Why::FailedBefore { build: 2 });
    // It succeeded since, by hand: then it is no longer known as broken.
    case.trigger();
    assert_eq!(case.build(), "TRIGGER,COMMIT build");
    case.commit("also broken");
    assert_eq!(why(&case), Why::FailedBefore { build: 3 });
    case.commit("broken");
    assert_eq!(case.line(), "up to date since build 4");
}

#[test]
fn what_somebody_stopped_stays_stopped() {
    let mut case = Case::built();
    case.commit("c2");
    case.begin();
    case.end(Outcome::Cancelled);
    assert_eq!(why(&case), Why::Cancelled { build: 2 });
    assert_eq!(
        ready(&case),
        "False BuildFailed: build 2 was stopped; not built, because the same was stopped in build 2"
    );
    case.commit("c3");
    assert_eq!(case.build(), "COMMIT build");
}

#[test]
fn what_a_newer_source_replaced_is_forgotten() {
    let mut case = Case::built();
    case.commit("c2");
    case.begin();
    case.end(Outcome::Superseded);
    case.commit("c3");
    let change = case.start().changes.remove(0);
    assert_eq!((change.old, change.new), ("c1".into(), "c3".into()));
    case.source = SourceState::Ready(commit("c1"));
    assert_eq!(case.line(), "up to date since build 1");
}
