//! What the fuzz target does, with bytes that are the same each time.

mod engine;

#[test]
fn no_message_and_no_ioctl_does_harm() {
    let mut state = 1_u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    for round in 0..3000 {
        let mut script: Vec<u8> = (0..round % 200).map(|_| byte()).collect();
        // Mostly one of the kinds that there are.
        if let Some(kind) = script.get_mut(5) {
            *kind %= 48;
        }
        engine::run(&script);
    }
}
