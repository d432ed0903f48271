//! Switches by which a person asks a Java virtual machine for something that it does not do by itself: a debugger, JMX, a
//! flight recording, a heap dump, an account of its memory, Spring's ahead-of-time processing.

use stave_model::time::rfc3339;

use super::{Environment, Failed, Machine};

/// What the switches come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Switched {
    /// Options, in order.
    pub(super) options: Vec<String>,
    /// A folder that must be there.
    pub(super) folder: Option<String>,
    /// A variable to set beside the options.
    pub(super) variable: Option<(String, String)>,
    /// One line each, for people.
    pub(super) said: Vec<String>,
}

impl Switched {
    /// Looks at all of them. `old` is what stands in the options already.
    pub(super) fn from(environment: &Environment<'_>, machine: &Machine, old: &str) -> Result<Self, Failed> {
        let mut switched = Self::default();
        switched.debug(environment, machine, old)?;
        switched.jmx(environment, old)?;
        switched.flight_recorder(environment, old)?;
        switched.heap_dump(environment, machine, old);
        switched.memory_tracking(environment, machine, old)?;
        if environment.is_on("BPL_SPRING_AOT_ENABLED")? && !old.contains("-Dspring.aot.enabled=") {
            switched.options.push("-Dspring.aot.enabled=true".to_owned());
        }
        Ok(switched)
    }

    fn debug(&mut self, environment: &Environment<'_>, machine: &Machine, old: &str) -> Result<(), Failed> {
        if !environment.is_on("BPL_DEBUG_ENABLED")? {
            return Ok(());
        }
        let port = environment.number("BPL_DEBUG_PORT", 1, 65535, "a port")?.unwrap_or(8000);
        let suspend = if environment.is_on("BPL_DEBUG_SUSPEND")? { "y" } else { "n" };
        if old.contains("-agentlib:jdwp") {
            self.said.push("BPL_DEBUG_ENABLED: the options of Java have a debugger already".to_owned());
        } else if machine.has_debugger {
            self.options
                .push(format!("-agentlib:jdwp=transport=dt_socket,server=y,address=*:{port},suspend={suspend}"));
            self.said.push(format!("a debugger can attach at port {port}"));
        } else {
            self.said.push("BPL_DEBUG_ENABLED has no effect: this Java runtime cannot be debugged".to_owned());
        }
        Ok(())
    }

    fn jmx(&mut self, environment: &Environment<'_>, old: &str) -> Result<(), Failed> {
        if !environment.is_on("BPL_JMX_ENABLED")? {
            return Ok(());
        }
        let port = environment.number("BPL_JMX_PORT", 1, 65535, "a port")?.unwrap_or(5000);
        if old.contains("-Dcom.sun.management.jmxremote.port=") {
            self.said.push("BPL_JMX_ENABLED: the options of Java have a port for JMX already".to_owned());
            return Ok(());
        }
        self.options.push("-Djava.rmi.server.hostname=127.0.0.1".to_owned());
        let jmx = |rest: String| format!("-Dcom.sun.management.jmxremote.{rest}");
        self.options.extend([jmx("authenticate=false".to_owned()), jmx("ssl=false".to_owned())]);
        self.options.extend([jmx(format!("port={port}")), jmx(format!("rmi.port={port}"))]);
        self.said.push(format!("JMX listens at port {port}, without a password"));
        Ok(())
    }

    fn flight_recorder(&mut self, environment: &Environment<'_>, old: &str) -> Result<(), Failed> {
        if !environment.is_on("BPL_JFR_ENABLED")? {
            return Ok(());
        }
        if old.contains("-XX:StartFlightRecording") {
            self.said.push("BPL_JFR_ENABLED: the options of Java have a flight recording already".to_owned());
            return Ok(());
        }
        let arguments = environment.get("BPL_JFR_ARGS");
        let arguments = arguments.unwrap_or_else(|| {
            let folder = environment.get("TMPDIR").unwrap_or_else(|| "/tmp".to_owned());
            format!("dumponexit=true,filename={}/recording.jfr", folder.trim_end_matches('/'))
        });
        self.options.push(quoted(&format!("-XX:StartFlightRecording={arguments}")));
        self.said.push(format!("a flight recording begins: {}", crate::report::shown(arguments)));
        Ok(())
    }

    fn heap_dump(&mut self, environment: &Environment<'_>, machine: &Machine, old: &str) {
        let Some(folder) = environment.get("BPL_HEAP_DUMP_PATH") else { return };
        if !old.contains("-XX:+HeapDumpOnOutOfMemoryError") {
            self.options.push("-XX:+HeapDumpOnOutOfMemoryError".to_owned());
        }
        if old.contains("-XX:HeapDumpPath=") {
            self.said.push("BPL_HEAP_DUMP_PATH: the options of Java have a path for heap dumps already".to_owned());
            return;
        }
        // A container that starts again has the same process id, and a JVM does not overwrite a dump.
        let file = format!("{}/java_{}.hprof", folder.trim_end_matches('/'), rfc3339(machine.now));
        self.options.push(quoted(&format!("-XX:HeapDumpPath={file}")));
        self.said.push(format!("a heap dump goes to `{}`", crate::report::shown(&file)));
        // A JVM does not make it, and would lose the dump.
        self.folder = Some(folder);
    }

    fn memory_tracking(&mut self, environment: &Environment<'_>, machine: &Machine, old: &str) -> Result<(), Failed> {
        if !environment.is_on("BPL_JAVA_NMT_ENABLED")? {
            return Ok(());
        }
        let level = environment.get("BPL_JAVA_NMT_LEVEL").unwrap_or_else(|| "summary".to_owned());
        if !matches!(level.as_str(), "summary" | "detail") {
            return Err(Failed::Setting { name: "BPL_JAVA_NMT_LEVEL", value: level, expected: "summary or detail" });
        }
        if old.contains("-XX:NativeMemoryTracking=") {
            self.said.push("BPL_JAVA_NMT_ENABLED: the options of Java have memory tracking already".to_owned());
            return Ok(());
        }
        self.options.push("-XX:+UnlockDiagnosticVMOptions".to_owned());
        self.options.push(format!("-XX:NativeMemoryTracking={level}"));
        self.options.push("-XX:+PrintNMTStatistics".to_owned());
        self.said.push(format!("Java tells at its end what it used memory for ({level})"));
        // Before Java 18 a JVM believes its options only where `java` itself has left it this word, by its process id, which
        // is the launcher's.
        self.variable = Some((format!("NMT_LEVEL_{}", machine.process), level));
        Ok(())
    }
}

/// A word as it may stand among the options.
fn quoted(word: &str) -> String {
    if word.contains('\'') {
        return format!("\"{}\"", word.replace('"', "\"'\"'\""));
    }
    if word.contains(|c: char| c.is_ascii_whitespace() || c == '"') { format!("'{word}'") } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{super::regions::words, *};
    use crate::helper::jvm::tests::{USUAL, variables};

    fn told(machine: &Machine, old: &str, pairs: &[(&str, &str)]) -> String {
        match Switched::from(&Environment(&variables(pairs)), machine, old) {
            Err(error) => format!("error: {error}"),
            Ok(switched) => {
                let folder = switched.folder.map(|folder| format!("folder: {folder}"));
                let variable = switched.variable.map(|(name, value)| format!("{name}={value}"));
                [switched.options, folder.into_iter().chain(variable).collect(), switched.said].concat().join("\n")
            }
        }
    }

    #[test]
    fn nothing_is_switched_on_unless_it_is_asked_for() {
        let off = [
            ("BPL_DEBUG_ENABLED", "false"),
            ("BPL_JMX_PORT", "7000"),
            ("BPL_JFR_ARGS", "x"),
            ("BPL_JAVA_NMT_LEVEL", "x"),
        ];
        assert_eq!(told(&USUAL, "", &off), "");
    }

    #[test]
    fn a_debugger_can_attach() {
        insta::assert_snapshot!(told(&USUAL, "-Dx", &[("BPL_DEBUG_ENABLED", "true")]), @"
        -agentlib:jdwp=transport=dt_socket,server=y,address=*:8000,suspend=n
        a debugger can attach at port 8000
        ");
        insta::assert_snapshot!(told(&USUAL, "", &[("BPL_DEBUG_ENABLED", "1"), ("BPL_DEBUG_PORT", "9"), ("BPL_DEBUG_SUSPEND", "TRUE")]), @"
        -agentlib:jdwp=transport=dt_socket,server=y,address=*:9,suspend=y
        a debugger can attach at port 9
        ");
        insta::assert_snapshot!(told(&USUAL, "-agentlib:jdwp=x", &[("BPL_DEBUG_ENABLED", "true")]), @"BPL_DEBUG_ENABLED: the options of Java have a debugger already");
        let no_debugger = Machine { has_debugger: false, ..USUAL };
        insta::assert_snapshot!(told(&no_debugger, "", &[("BPL_DEBUG_ENABLED", "true")]), @"BPL_DEBUG_ENABLED has no effect: this Java runtime cannot be debugged");
    }

    #[test]
    fn jmx_listens() {
        insta::assert_snapshot!(told(&USUAL, "", &[("BPL_JMX_ENABLED", "true"), ("BPL_JMX_PORT", "5001")]), @"
        -Djava.rmi.server.hostname=127.0.0.1
        -Dcom.sun.management.jmxremote.authenticate=false
        -Dcom.sun.management.jmxremote.ssl=false
        -Dcom.sun.management.jmxremote.port=5001
        -Dcom.sun.management.jmxremote.rmi.port=5001
        JMX listens at port 5001, without a password
        ");
        insta::assert_snapshot!(told(&USUAL, "-Dcom.sun.management.jmxremote.port=1", &[("BPL_JMX_ENABLED", "true")]), @"BPL_JMX_ENABLED: the options of Java have a port for JMX already");
    }

    #[test]
    fn a_flight_is_recorded() {
        insta::assert_snapshot!(told(&USUAL, "", &[("BPL_JFR_ENABLED", "true")]), @"
        -XX:StartFlightRecording=dumponexit=true,filename=/tmp/recording.jfr
        a flight recording begins: dumponexit=true,filename=/tmp/recording.jfr
        ");
        insta::assert_snapshot!(told(&USUAL, "", &[("BPL_JFR_ENABLED", "true"), ("TMPDIR", "/scratch/")]), @"
        -XX:StartFlightRecording=dumponexit=true,filename=/scratch/recording.jfr
        a flight recording begins: dumponexit=true,filename=/scratch/recording.jfr
        ");
        insta::assert_snapshot!(told(&USUAL, "", &[("BPL_JFR_ENABLED", "true"), ("BPL_JFR_ARGS", "filename=/a b.jfr")]), @"
        '-XX:StartFlightRecording=filename=/a b.jfr'
        a flight recording begins: filename=/a b.jfr
        ");
        insta::assert_snapshot!(told(&USUAL, "-XX:StartFlightRecording", &[("BPL_JFR_ENABLED", "true")]), @"BPL_JFR_ENABLED: the options of Java have a flight recording already");
    }

    #[test]
    fn a_heap_is_dumped() {
        insta::assert_snapshot!(told(&USUAL, "", &[("BPL_HEAP_DUMP_PATH", "/dumps/")]), @"
        -XX:+HeapDumpOnOutOfMemoryError
        -XX:HeapDumpPath=/dumps/java_2001-09-09T01:46:40Z.hprof
        folder: /dumps/
        a heap dump goes to `/dumps/java_2001-09-09T01:46:40Z.hprof`
        ");
        let old = "-XX:+HeapDumpOnOutOfMemoryError -XX:HeapDumpPath=/x";
        insta::assert_snapshot!(told(&USUAL, old, &[("BPL_HEAP_DUMP_PATH", "/dumps/")]), @"BPL_HEAP_DUMP_PATH: the options of Java have a path for heap dumps already");
    }

    #[test]
    fn memory_is_tracked() {
        insta::assert_snapshot!(told(&USUAL, "", &[("BPL_JAVA_NMT_ENABLED", "true")]), @"
        -XX:+UnlockDiagnosticVMOptions
        -XX:NativeMemoryTracking=summary
        -XX:+PrintNMTStatistics
        NMT_LEVEL_1=summary
        Java tells at its end what it used memory for (summary)
        ");
        insta::assert_snapshot!(told(&USUAL, "-XX:NativeMemoryTracking=off", &[("BPL_JAVA_NMT_ENABLED", "true"), ("BPL_JAVA_NMT_LEVEL", "detail")]), @"BPL_JAVA_NMT_ENABLED: the options of Java have memory tracking already");
    }

    #[test]
    fn spring_takes_what_was_worked_out_ahead_of_time() {
        assert_eq!(told(&USUAL, "", &[("BPL_SPRING_AOT_ENABLED", "true")]), "-Dspring.aot.enabled=true");
        assert_eq!(told(&USUAL, "-Dspring.aot.enabled=false", &[("BPL_SPRING_AOT_ENABLED", "true")]), "");
    }

    #[test]
    fn what_means_nothing_is_an_error() {
        let said = [
            told(&USUAL, "", &[("BPL_DEBUG_ENABLED", "maybe")]),
            told(&USUAL, "", &[("BPL_DEBUG_ENABLED", "true"), ("BPL_DEBUG_PORT", "0")]),
            told(&USUAL, "", &[("BPL_JMX_ENABLED", "true"), ("BPL_JMX_PORT", "x\u{1b}")]),
            told(&USUAL, "", &[("BPL_JAVA_NMT_ENABLED", "true"), ("BPL_JAVA_NMT_LEVEL", "all")]),
        ];
        insta::assert_snapshot!(said.join("\n"), @r"
        error: BPL_DEBUG_ENABLED is `maybe`: expected true or false
        error: BPL_DEBUG_PORT is `0`: expected a port
        error: BPL_JMX_PORT is `x\u{1b}`: expected a port
        error: BPL_JAVA_NMT_LEVEL is `all`: expected summary or detail
        ");
    }

    #[test]
    fn a_quoted_word_is_read_as_one() {
        for word in ["a", "a b", "it's", "say \"x\" y", "it's \"x\""] {
            assert_eq!(words(&quoted(word)), [word]);
        }
    }
}
