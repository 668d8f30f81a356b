//! Tests of programs that have a `main` of their own, as they are host processes as well.

/// The tests, by their names.
macro_rules! trials {
    ($($test:ident)+) => {
        vec![$(libtest_mimic::Trial::test(stringify!($test), || {
            $test();
            Ok(())
        })),+]
    };
}
