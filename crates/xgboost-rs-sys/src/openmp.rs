//! Parallel regions of one thread, without the operating system.
//!
//! `libgomp` ends every region by waking the threads that wait for it: a system call, even where
//! there are none. XGBoost has some twenty regions a tree, so that small forests on one thread lose
//! a good part of their time. Compilers turn `#pragma omp parallel` into [`GOMP_parallel`], and the
//! dynamic linker finds the program's before `libgomp`'s, for all libraries of the process. Here a
//! region of one thread is a plain call: outside of regions OpenMP's questions have the same
//! answers (thread 0 of 1) and its loops the same bounds. All other regions go on to `libgomp`.

use std::ffi::{CStr, c_char, c_uint, c_void};
use std::sync::OnceLock;

type Region = unsafe extern "C" fn(*mut c_void);
type Parallel = unsafe extern "C" fn(Region, *mut c_void, c_uint, c_uint);

const NAME: &CStr = c"GOMP_parallel";
/// Where `dlsym` looks, as `dlfcn.h` of Linux has it: in all libraries, and in those after the
/// caller's.
const RTLD_DEFAULT: *mut c_void = std::ptr::null_mut();
const RTLD_NEXT: *mut c_void = -1_isize as *mut c_void;

unsafe extern "C" {
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// Runs `region(data)` on that many threads at once; 0 leaves their number to OpenMP.
///
/// # Safety
/// As libgomp's: `region` may be called with `data` by that many threads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn GOMP_parallel(
    region: Region,
    data: *mut c_void,
    threads: c_uint,
    flags: c_uint,
) {
    static NEXT: OnceLock<Option<Parallel>> = OnceLock::new();
    // SAFETY: the caller vouches for the region; libgomp's function of this name has this type.
    unsafe {
        if threads != 1 {
            let next = || {
                std::mem::transmute::<*mut c_void, Option<Parallel>>(dlsym(
                    RTLD_NEXT,
                    NAME.as_ptr(),
                ))
            };
            if let Some(parallel) = NEXT.get_or_init(next) {
                return parallel(region, data, threads, flags);
            }
        }
        // OpenMP may give a region fewer threads than it asks for, so this is right without libgomp
        // too.
        region(data);
    }
}

/// True if the libraries of this process call [`GOMP_parallel`] here.
pub fn in_place() -> bool {
    // SAFETY: a name that ends with a zero byte.
    let found = unsafe { dlsym(RTLD_DEFAULT, NAME.as_ptr()) };
    found.addr() == (GOMP_parallel as Parallel as *const ()).addr()
}
