//! How far a child of the front is locked down, as it says itself.

use serde::{Deserialize, Serialize};

/// Whether a restriction took effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforced {
    /// All of it.
    Yes,
    /// But for this.
    Partly(String),
    /// None of it, and why.
    No(String),
}

impl Enforced {
    fn lacks(&self) -> Option<&str> {
        match self {
            Enforced::Yes => None,
            Enforced::Partly(what) | Enforced::No(what) => Some(what),
        }
    }
}

/// The restrictions of a child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Files and TCP (landlock).
    pub files: Enforced,
    /// Signals and abstract sockets to who is outside (landlock).
    pub scope: Enforced,
    /// System calls (seccomp), and no new privileges.
    pub calls: Enforced,
}

impl Confinement {
    /// Nothing took effect, for this reason.
    pub fn none(why: &str) -> Confinement {
        let no = || Enforced::No(why.to_owned());
        Confinement { files: no(), scope: no(), calls: no() }
    }

    /// Each restriction by the name that the operator meets, and whether it took effect.
    pub fn parts(&self) -> [(&'static str, &Enforced); 3] {
        [("files", &self.files), ("scope", &self.scope), ("calls", &self.calls)]
    }

    /// What is missing, in words; none where nothing is.
    pub fn lacks(&self) -> Option<String> {
        let lacks: Vec<String> =
            self.parts().iter().filter_map(|(name, enforced)| Some(format!("{name}: {}", enforced.lacks()?))).collect();
        (!lacks.is_empty()).then(|| lacks.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kernel_lacks_is_said_part_by_part() {
        let whole = Confinement { files: Enforced::Yes, scope: Enforced::Yes, calls: Enforced::Yes };
        assert_eq!(whole.lacks(), None);
        let old = Confinement { files: Enforced::No("no landlock".into()), scope: Enforced::Partly("calls alone".into()), ..whole };
        assert_eq!(old.lacks().as_deref(), Some("files: no landlock; scope: calls alone"));
        assert!(Confinement::none("off").lacks().is_some_and(|lacks| lacks.contains("calls: off")));
    }
}
