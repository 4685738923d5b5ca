//! Opening a driver's library at run time: the same package starts on machines without one.
#![allow(unsafe_code)]

use libloading::Library;

/// Why a library of the driver cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It is not installed, or the loader refuses it.
    #[error("{name} cannot be opened: {cause}")]
    Absent {
        /// The file name that was asked for.
        name: &'static str,
        /// The loader's words.
        cause: String,
    },
    /// It is older than what is needed of it.
    #[error("{name} has no {symbol}: the driver is too old")]
    Symbol {
        /// The file name.
        name: &'static str,
        /// The missing function.
        symbol: &'static str,
    },
}

/// Opens a library of the driver. It is never closed: drivers keep threads that outlive their last handle.
pub(super) fn open(name: &'static str) -> Result<&'static Library, LoadError> {
    // SAFETY: a driver's library runs its initialisers when it is opened; it is the machine's own driver, by its fixed name.
    let library = unsafe { Library::new(name) }.map_err(|cause| LoadError::Absent { name, cause: loader_words(&cause) })?;
    Ok(Box::leak(Box::new(library)))
}

/// What the loader says, which names the file that it misses: that may be one that the library needs.
fn loader_words(cause: &libloading::Error) -> String {
    std::error::Error::source(cause).map_or_else(|| cause.to_string(), |words| words.to_string())
}

/// A table of functions of one library: `table!{ Cuda from "libcuda.so.1" { init = "cuInit": fn(u32) -> i32; } }`.
///
/// Statuses are plain integers: a newer driver may return a number that a Rust enum must not hold.
macro_rules! table {
    ($(#[$doc:meta])* $table:ident from $library:literal { $($field:ident = $symbol:literal : fn($($argument:ty),* $(,)?) -> $result:ty;)* }) => {
        $(#[$doc])*
        pub(super) struct $table { $(pub(super) $field: unsafe extern "C" fn($($argument),*) -> $result,)* }

        impl $table {
            fn open() -> Result<$table, $crate::codec::nvidia::library::LoadError> {
                let library = $crate::codec::nvidia::library::open($library)?;
                Ok($table {
                    $($field: {
                        // SAFETY: the symbol has this signature in the library's published header.
                        let found = unsafe { library.get::<unsafe extern "C" fn($($argument),*) -> $result>(concat!($symbol, "\0").as_bytes()) };
                        *found.map_err(|_| $crate::codec::nvidia::library::LoadError::Symbol { name: $library, symbol: $symbol })?
                    },)*
                })
            }

            /// The library's functions; opened once in a process.
            pub(super) fn load() -> Result<&'static $table, $crate::codec::nvidia::library::LoadError> {
                static LOADED: std::sync::OnceLock<Result<$table, $crate::codec::nvidia::library::LoadError>> = std::sync::OnceLock::new();
                LOADED.get_or_init($table::open).as_ref().map_err(Clone::clone)
            }
        }
    };
}
pub(super) use table;
