//! Which packages a stack is made of: those named and what they need, each with the reason it is in.
//!
//! The newest version of every package is taken. Of alternatives the first that can be had is taken, unless one is in
//! already. Nothing is tried again with other choices: the same index gives the same answer, and a person can follow it.

use std::collections::BTreeMap;

use crate::{
    packages::{Package, Universe},
    relation::{self, Clause, InvalidRelation, Relation},
};

/// The most packages of one stack.
const MAX_CHOSEN: usize = 5000;

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Packages by name.
    pub packages: &'a [String],
    /// Names, real or virtual, that count as met and stay out.
    pub exclude: &'a [String],
}

/// Why a package is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The stack names it.
    Named,
    /// Another package needs it.
    Needed {
        /// Which package.
        by: String,
        /// The clause of its dependencies.
        clause: String,
    },
}

/// A package that is in, and why.
#[derive(Debug, Clone)]
pub struct Choice<'a> {
    /// The package.
    pub package: &'a Package,
    /// Why it is in.
    pub why: Why,
}

/// A set of packages that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// A package that the stack names does not exist.
    #[error("there is no package `{name}`{}", .provided_by.as_ref().map(|by| format!(", but `{by}` provides it")).unwrap_or_default())]
    Unknown {
        /// The name.
        name: String,
        /// A package that provides something of that name.
        provided_by: Option<String>,
    },
    /// Something that a package needs cannot be had.
    #[error("`{clause}` cannot be had: {fault}; it is needed by {chain}")]
    Unmet {
        /// What is needed.
        clause: String,
        /// Why it cannot be had.
        fault: String,
        /// Who needs it, and who needs that.
        chain: String,
    },
    /// Two packages do not go together.
    #[error("{first} and {second} do not go together: `{relation}` is refused by one of them")]
    Conflict {
        /// One package and why it is in.
        first: String,
        /// The other and why it is in.
        second: String,
        /// What is refused.
        relation: String,
    },
    /// A package's relations cannot be read.
    #[error("could not read what `{package}` depends on")]
    Relation {
        /// Which package.
        package: String,
        /// What is wrong.
        #[source]
        source: InvalidRelation,
    },
    /// There is no end to it.
    #[error("more than 5000 packages are needed")]
    TooMany,
}

/// The packages that `request` comes to, sorted by name.
pub fn resolve<'a>(universe: &'a Universe, request: &Request) -> Result<Vec<Choice<'a>>, ResolveError> {
    let mut selection = Selection { universe, exclude: request.exclude, chosen: Vec::new(), numbers: BTreeMap::new() };
    for name in request.packages {
        selection.take_named(name)?;
    }
    let mut next = 0;
    while next < selection.chosen.len() {
        let package = selection.chosen[next].package;
        for clause in
            package.depends.iter().map(|field| clauses(package, field)).collect::<Result<Vec<_>, _>>()?.concat()
        {
            selection.meet(&clause, next)?;
        }
        next += 1;
    }
    Ok(selection.finish())
}

fn clauses(package: &Package, field: &str) -> Result<Vec<Clause>, ResolveError> {
    relation::parse(field).map_err(|source| ResolveError::Relation { package: package.name.clone(), source })
}

struct Selection<'a, 'r> {
    universe: &'a Universe,
    exclude: &'r [String],
    chosen: Vec<Chosen<'a>>,
    numbers: BTreeMap<&'a str, usize>,
}

struct Chosen<'a> {
    package: &'a Package,
    /// Who needs it and by which clause; none if the stack names it.
    needed: Option<(usize, String)>,
    /// What it conflicts with.
    refuses: Vec<Relation>,
}

impl<'a> Selection<'a, '_> {
    fn take_named(&mut self, name: &str) -> Result<(), ResolveError> {
        let Some(package) = self.universe.versions(name).first().copied() else {
            let provided_by = self.universe.providers(name).first().map(|package| package.name.clone());
            return Err(ResolveError::Unknown { name: name.to_owned(), provided_by });
        };
        if let Some((number, relation)) = self.conflict(package)? {
            return Err(ResolveError::Conflict {
                first: self.chain(number),
                second: format!("`{name}` (named in the stack)"),
                relation,
            });
        }
        self.take(package, None)
    }

    /// Sees to it that a clause of the chosen package `by` is met.
    fn meet(&mut self, clause: &Clause, by: usize) -> Result<(), ResolveError> {
        let excluded = clause.0.iter().any(|relation| self.exclude.contains(&relation.name));
        let met = |relation: &Relation| self.chosen.iter().any(|chosen| self.universe.meets(chosen.package, relation));
        if excluded || clause.0.iter().any(met) {
            return Ok(());
        }
        let mut faults = Vec::new();
        for relation in &clause.0 {
            match self.candidate(relation)? {
                Ok(package) => return self.take(package, Some((by, clause.to_string()))),
                Err(fault) => faults.push(fault),
            }
        }
        Err(ResolveError::Unmet { clause: clause.to_string(), fault: faults.join(", "), chain: self.chain(by) })
    }

    /// The package to take for `relation`, or why there is none.
    fn candidate(&self, relation: &Relation) -> Result<Result<&'a Package, String>, ResolveError> {
        let real = self.universe.versions(&relation.name);
        let providers = self.universe.providers(&relation.name);
        let mut fault = match real.first() {
            Some(newest) => format!("`{}` is there in version {}", newest.name, newest.version),
            None if providers.is_empty() => format!("there is no package `{}`", relation.name),
            None => format!("no package provides `{relation}`"),
        };
        for package in real.into_iter().chain(providers) {
            if !self.universe.meets(package, relation) || self.exclude.contains(&package.name) {
                continue;
            }
            if let Some(number) = self.numbers.get(package.name.as_str()) {
                fault = format!("`{}` is in already in version {}", package.name, self.chosen[*number].package.version);
            } else if let Some((number, _)) = self.conflict(package)? {
                fault = format!("`{}` does not go together with {}", package.name, self.chain(number));
            } else {
                return Ok(Ok(package));
            }
        }
        Ok(Err(fault))
    }

    /// The chosen package that does not go together with `package`, and the relation that says so.
    fn conflict(&self, package: &Package) -> Result<Option<(usize, String)>, ResolveError> {
        let refuses = refused(package)?;
        let found = self.chosen.iter().enumerate().find_map(|(number, chosen)| {
            let by_new = refuses.iter().find(|relation| self.universe.meets(chosen.package, relation));
            let by_old = || chosen.refuses.iter().find(|relation| self.universe.meets(package, relation));
            by_new.or_else(by_old).map(|relation| (number, relation.to_string()))
        });
        Ok(found)
    }

    fn take(&mut self, package: &'a Package, needed: Option<(usize, String)>) -> Result<(), ResolveError> {
        if self.chosen.len() == MAX_CHOSEN {
            return Err(ResolveError::TooMany);
        }
        self.numbers.insert(&package.name, self.chosen.len());
        self.chosen.push(Chosen { package, needed, refuses: refused(package)? });
        Ok(())
    }

    /// `c`, needed by `b`, needed by `a` (named in the stack).
    fn chain(&self, number: usize) -> String {
        let chosen = &self.chosen[number];
        match &chosen.needed {
            None => format!("`{}` (named in the stack)", chosen.package.name),
            Some((by, _)) => format!("`{}`, needed by {}", chosen.package.name, self.chain(*by)),
        }
    }

    fn finish(self) -> Vec<Choice<'a>> {
        let name = |number: usize| self.chosen[number].package.name.clone();
        let choice = |number: &usize| {
            let Chosen { package, needed, .. } = &self.chosen[*number];
            let why = needed.clone().map_or(Why::Named, |(by, clause)| Why::Needed { by: name(by), clause });
            Choice { package, why }
        };
        self.numbers.values().map(choice).collect()
    }
}

/// What a package does not go together with. A package that provides what it refuses does not refuse itself.
fn refused(package: &Package) -> Result<Vec<Relation>, ResolveError> {
    let clauses =
        package.conflicts.iter().map(|field| clauses(package, field)).collect::<Result<Vec<_>, _>>()?.concat();
    Ok(clauses.into_iter().flat_map(|clause| clause.0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::Offer;

    /// One package a line: `name version [| Field: value]…`.
    fn resolve_lines(index: &str, packages: &[&str], exclude: &[&str]) -> String {
        let mut text = String::new();
        for line in index.lines().filter(|line| !line.trim().is_empty()) {
            let mut parts = line.trim().split(" ; ");
            let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
            let hash = "0".repeat(64);
            let own = format!(
                "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: f\nSize: 1\nSHA256: {hash}"
            );
            let fields: Vec<&str> = std::iter::once(own.as_str()).chain(parts).collect();
            text += &(fields.join("\n") + "\n\n");
        }
        let mut universe = Universe::new();
        universe.read(text.as_bytes(), &Offer { architecture: "amd64", suite: "test", archive: 0 }).unwrap();
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        match resolve(&universe, &Request { packages: &owned(packages), exclude: &owned(exclude) }) {
            Err(error) => format!("error: {error}"),
            Ok(choices) => {
                let line = |choice: &Choice| match &choice.why {
                    Why::Named => format!("{} {}: named", choice.package.name, choice.package.version),
                    Why::Needed { by, clause } => {
                        format!("{} {}: {by} needs {clause}", choice.package.name, choice.package.version)
                    }
                };
                choices.iter().map(line).collect::<Vec<_>>().join("\n")
            }
        }
    }

    const INDEX: &str = "
        app 1 ; Depends: lib (>= 2), debconf (>= 0.5) | debconf-2.0 ; Pre-Depends: awk
        lib 1.9
        lib 2.1 ; Depends: libc6
        lib 2.0
        libc6 2.36
        mawk 1 ; Provides: awk ; Priority: required
        gawk 1 ; Provides: awk (= 5)
        debconf 1.5 ; Depends: perl-base ; Provides: debconf-2.0
        cdebconf 0.2 ; Provides: debconf-2.0
        perl-base 5
        wants-cdebconf 1 ; Depends: cdebconf, debconf | debconf-2.0
        loop-a 1 ; Depends: loop-b
        loop-b 1 ; Depends: loop-a
        any 1 ; Depends: perl-base:any, libc6:amd64
        foreign 1 ; Depends: libc6:arm64
        old 1 ; Depends: lib (<< 2)
        needs-versioned-awk 1 ; Depends: awk (>= 4)
        missing 1 ; Depends: nothing-like-it, libc6
        deep 1 ; Depends: missing
        newer 1 ; Depends: lib (>= 3) | nothing
        mta-a 1 ; Provides: mta ; Conflicts: mta
        mta-b 1 ; Provides: mta ; Conflicts: mta
        hater 1 ; Breaks: libc6 (<< 3)
        chooser 1 ; Depends: mta-a, hater | perl-base, libc6
        bad 1 ; Depends: (
    ";

    #[test]
    fn takes_what_is_needed_and_says_why() {
        insta::assert_snapshot!(resolve_lines(INDEX, &["app"], &[]), @"
        app 1: named
        debconf 1.5: app needs debconf (>= 0.5) | debconf-2.0
        lib 2.1: app needs lib (>= 2)
        libc6 2.36: lib needs libc6
        mawk 1: app needs awk
        perl-base 5: debconf needs perl-base
        ");
        insta::assert_snapshot!(resolve_lines(INDEX, &["app"], &["debconf", "awk"]), @"
        app 1: named
        lib 2.1: app needs lib (>= 2)
        libc6 2.36: lib needs libc6
        ");
        insta::assert_snapshot!(resolve_lines(INDEX, &["wants-cdebconf"], &[]), @"
        cdebconf 0.2: wants-cdebconf needs cdebconf
        wants-cdebconf 1: named
        ");
        insta::assert_snapshot!(resolve_lines(INDEX, &["loop-a"], &[]), @"
        loop-a 1: named
        loop-b 1: loop-a needs loop-b
        ");
        insta::assert_snapshot!(resolve_lines(INDEX, &["any"], &[]), @"
        any 1: named
        libc6 2.36: any needs libc6:amd64
        perl-base 5: any needs perl-base:any
        ");
        insta::assert_snapshot!(resolve_lines(INDEX, &["old"], &[]), @"
        lib 1.9: old needs lib (<< 2)
        old 1: named
        ");
        insta::assert_snapshot!(resolve_lines(INDEX, &["needs-versioned-awk"], &[]), @"
        gawk 1: needs-versioned-awk needs awk (>= 4)
        needs-versioned-awk 1: named
        ");
        insta::assert_snapshot!(resolve_lines(INDEX, &["libc6", "chooser"], &[]), @"
        chooser 1: named
        libc6 2.36: named
        mta-a 1: chooser needs mta-a
        perl-base 5: chooser needs hater | perl-base
        ");
    }

    #[test]
    fn what_cannot_be_had_is_named_with_who_needs_it() {
        let cases: [&[&str]; 9] = [
            &["nowhere"],
            &["awk"],
            &["deep"],
            &["newer"],
            &["foreign"],
            &["lib", "old"],
            &["mta-a", "mta-b"],
            &["libc6", "hater"],
            &["bad"],
        ];
        let messages = cases.map(|packages| resolve_lines(INDEX, packages, &[]));
        insta::assert_snapshot!(messages.join("\n"), @"
        error: there is no package `nowhere`
        error: there is no package `awk`, but `mawk` provides it
        error: `nothing-like-it` cannot be had: there is no package `nothing-like-it`; it is needed by `missing`, needed by `deep` (named in the stack)
        error: `lib (>= 3) | nothing` cannot be had: `lib` is there in version 2.1, there is no package `nothing`; it is needed by `newer` (named in the stack)
        error: `libc6:arm64` cannot be had: `libc6` is there in version 2.36; it is needed by `foreign` (named in the stack)
        error: `lib (<< 2)` cannot be had: `lib` is in already in version 2.1; it is needed by `old` (named in the stack)
        error: `mta-a` (named in the stack) and `mta-b` (named in the stack) do not go together: `mta` is refused by one of them
        error: `libc6` (named in the stack) and `hater` (named in the stack) do not go together: `libc6 (<< 3)` is refused by one of them
        error: could not read what `bad` depends on
        ");
    }
}
