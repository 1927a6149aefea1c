// SPDX-License-Identifier: GPL-2.0

//! Module parameters that are visible, and may be writable, in sysfs.
//!
//! The `params` of the kernel crate's `module!` have no mode bits: they can be given when the
//! module is loaded and are not seen afterwards.
//!
//! C header: [`include/linux/moduleparam.h`](srctree/include/linux/moduleparam.h)

use core::cell::UnsafeCell;
use core::ptr;
use kernel::bindings;

/// The value of a parameter, which user space may change at any time.
#[repr(transparent)]
pub struct Param<T>(UnsafeCell<T>);

/// The value of an unsigned parameter.
pub type Uint = Param<u32>;
/// The value of a signed parameter.
pub type Int = Param<i32>;
/// The value of a parameter that is yes or no.
pub type Bool = Param<bool>;

// SAFETY: All accesses are single volatile ones of an aligned value, here and in the functions by
// which the kernel sets parameters of these types, which set them to valid values only.
unsafe impl Sync for Param<u32> {}

// SAFETY: As above.
unsafe impl Sync for Param<i32> {}

// SAFETY: As above.
unsafe impl Sync for Param<bool> {}

impl<T: Copy> Param<T> {
    /// A parameter that has `default` until it is set.
    pub const fn new(default: T) -> Self {
        Self(UnsafeCell::new(default))
    }

    /// The value now.
    pub fn get(&self) -> T {
        // SAFETY: The pointer is valid; see `Sync` for others that write.
        unsafe { ptr::read_volatile(self.0.get()) }
    }

    /// Changes the value, for one that makes no sense.
    pub fn set(&self, value: T) {
        // SAFETY: As in `get`.
        unsafe { ptr::write_volatile(self.0.get(), value) };
    }

    #[doc(hidden)]
    pub const fn as_ptr(&self) -> *mut T {
        self.0.get()
    }
}

/// A `struct kernel_param` in the section where the module loader looks for them.
#[doc(hidden)]
#[repr(transparent)]
pub struct Descriptor(pub bindings::kernel_param);

// SAFETY: The module loader has it to itself; nothing in Rust touches it.
unsafe impl Sync for Descriptor {}

/// Declares an unsigned module parameter with mode bits.
///
/// # Examples
///
/// ```ignore
/// guest::module_param_uint! {
///     /// How much of it.
///     static my_amount: 0, mode: 0o644, description: "How much of it",
/// }
///
/// fn amount() -> u32 {
///     my_amount.get()
/// }
/// ```
#[macro_export]
macro_rules! module_param_uint {
    ($($f:tt)*) => {
        $crate::__module_param! { Uint, param_ops_uint, "uint", $($f)* }
    };
}

/// Declares a signed module parameter with mode bits, as [`module_param_uint!`].
#[macro_export]
macro_rules! module_param_int {
    ($($f:tt)*) => {
        $crate::__module_param! { Int, param_ops_int, "int", $($f)* }
    };
}

/// Declares a module parameter that is yes or no, with mode bits, as [`module_param_uint!`].
#[macro_export]
macro_rules! module_param_bool {
    ($($f:tt)*) => {
        $crate::__module_param! { Bool, param_ops_bool, "bool", $($f)* }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __module_param {
    (
        $type:ident, $ops:ident, $kind:literal,
        $(#[$attr:meta])*
        static $name:ident: $default:expr, mode: $mode:expr, description: $description:literal $(,)?
    ) => {
        $(#[$attr])*
        #[allow(non_upper_case_globals, reason = "user space knows it by this name")]
        pub(crate) static $name: $crate::param::$type = $crate::param::$type::new($default);

        const _: () = {
            #[used(compiler)]
            #[link_section = "__param"]
            static DESCRIPTOR: $crate::param::Descriptor =
                $crate::param::Descriptor(::kernel::bindings::kernel_param {
                    name: ::core::concat!(::core::stringify!($name), "\0").as_ptr().cast(),
                    // SAFETY: Made by the build of the module, and there as long as the module.
                    mod_: unsafe {
                        ::core::ptr::from_ref(&::kernel::bindings::__this_module).cast_mut()
                    },
                    ops: ::core::ptr::addr_of!(::kernel::bindings::$ops),
                    perm: $mode,
                    level: -1,
                    flags: 0,
                    __bindgen_anon_1: ::kernel::bindings::kernel_param__bindgen_ty_1 {
                        arg: $name.as_ptr().cast(),
                    },
                });
        };
        $crate::module_info!("parmtype=", ::core::stringify!($name), ":", $kind);
        $crate::module_info!("parm=", ::core::stringify!($name), ":", $description);
    };
}

/// Adds a line `KEY=VALUE` to what `modinfo` shows of the module, put together from literals.
///
/// # Examples
///
/// ```ignore
/// guest::module_info!("version=", "1.0");
/// ```
#[macro_export]
macro_rules! module_info {
    ($($part:expr),+ $(,)?) => {
        const _: () = {
            const TEXT: &str = ::core::concat!($($part),+, "\0");
            #[used(compiler)]
            #[link_section = ".modinfo"]
            static INFO: [u8; TEXT.len()] = $crate::param::bytes(TEXT);
        };
    };
}

/// The bytes of `text`, which has `N` of them.
#[doc(hidden)]
pub const fn bytes<const N: usize>(text: &str) -> [u8; N] {
    match text.as_bytes().first_chunk::<N>() {
        Some(bytes) => *bytes,
        None => [0; N],
    }
}
