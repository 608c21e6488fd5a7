//! A path in a workspace, as clients give it: relative, in UTF-8, and nothing in it that means another place.

/// The longest path, in bytes: the kernel takes one more with the zero at its end (PATH_MAX).
pub const PATH_BYTES_MAX: usize = 4095;
/// The longest name in one (NAME_MAX).
const NAME_BYTES_MAX: usize = 255;
/// The most names in one, and how deep trees are gone into.
pub const PATH_DEPTH_MAX: usize = 64;

/// A path beneath the workspace, or the workspace itself, which is the empty one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkspacePath(String);

/// Why a text is no such path. The text is fit for the client who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WorkspacePathError {
    #[error("it has {bytes} bytes, more than the {PATH_BYTES_MAX} allowed")]
    TooLong { bytes: usize },
    #[error("it has {names} names, more than the {PATH_DEPTH_MAX} allowed")]
    TooDeep { names: usize },
    #[error("a name in it has {bytes} bytes, more than the {NAME_BYTES_MAX} allowed")]
    NameTooLong { bytes: usize },
    #[error("it has an empty name: write it relative to /workspace, without `/` at its ends and without `//`")]
    EmptyName,
    #[error("it has a name `.` or `..`: write the path without them")]
    DotName,
    #[error("it has a zero byte, which no name can have")]
    Zero,
    #[error("it is no UTF-8")]
    NotUtf8,
}

impl TryFrom<String> for WorkspacePath {
    type Error = WorkspacePathError;

    fn try_from(path: String) -> Result<Self, WorkspacePathError> {
        if path.is_empty() {
            return Ok(Self::default());
        }
        if path.len() > PATH_BYTES_MAX {
            return Err(WorkspacePathError::TooLong { bytes: path.len() });
        }
        if path.contains('\0') {
            return Err(WorkspacePathError::Zero);
        }
        for name in path.split('/') {
            match name {
                "" => return Err(WorkspacePathError::EmptyName),
                "." | ".." => return Err(WorkspacePathError::DotName),
                _ if name.len() > NAME_BYTES_MAX => return Err(WorkspacePathError::NameTooLong { bytes: name.len() }),
                _ => {}
            }
        }
        match path.split('/').count() {
            names if names > PATH_DEPTH_MAX => Err(WorkspacePathError::TooDeep { names }),
            _ => Ok(Self(path)),
        }
    }
}

impl WorkspacePath {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// It is the workspace itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last name, and the folder that it is in.
    pub(super) fn split(&self) -> (&str, &str) {
        self.0.rsplit_once('/').unwrap_or(("", &self.0))
    }

    /// The last name; empty for the workspace itself.
    #[must_use]
    pub fn name(&self) -> &str {
        self.split().1
    }
}

impl std::fmt::Display for WorkspacePath {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(if self.is_root() { "." } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Result<WorkspacePath, WorkspacePathError> {
        path.to_owned().try_into()
    }

    #[test]
    fn a_relative_path_is_taken_as_it_is() {
        for path in ["", "a", "a/b.txt", "...", "..a/b..", " ", "a\nb", "\u{e9}/\u{1F95A}", "\\", "~", "-rf", "a:b"] {
            assert_eq!(parse(path).unwrap().as_str(), path);
        }
        assert_eq!(parse("a/b/c").unwrap().split(), ("a/b", "c"));
        assert_eq!(parse("c").unwrap().split(), ("", "c"));
        assert!(parse(&["d"; PATH_DEPTH_MAX].join("/")).is_ok() && parse(&"n".repeat(NAME_BYTES_MAX)).is_ok());
    }

    #[test]
    fn everything_else_is_refused_by_what_is_wrong() {
        for (path, error) in [
            ("/", WorkspacePathError::EmptyName),
            ("/a", WorkspacePathError::EmptyName),
            ("a/", WorkspacePathError::EmptyName),
            ("a//b", WorkspacePathError::EmptyName),
            (".", WorkspacePathError::DotName),
            ("..", WorkspacePathError::DotName),
            ("a/../b", WorkspacePathError::DotName),
            ("a/./b", WorkspacePathError::DotName),
            ("a\0b", WorkspacePathError::Zero),
        ] {
            assert_eq!(parse(path), Err(error), "{path:?}");
        }
        assert_eq!(parse(&"n".repeat(256)), Err(WorkspacePathError::NameTooLong { bytes: 256 }));
        assert_eq!(parse(&["d"; 65].join("/")), Err(WorkspacePathError::TooDeep { names: 65 }));
        assert_eq!(parse(&["n"; 2049].join("/")), Err(WorkspacePathError::TooLong { bytes: 4097 }));
    }
}
