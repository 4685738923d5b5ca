//! Mutations of good inputs from a fixed seed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Longest input that is made.
const LONGEST: usize = 16 << 10;

/// Values at which lengths and counts break.
const EDGES: [u32; 10] = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x10000, 0xff_ffff, 0x7fff_ffff, 0xffff_ffff];

/// xorshift64*: small, fast, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Runs `target`, which tells how much it could read, on the good inputs, then on `rounds` mutations of them. A failing input is printed before the failure goes on.
pub fn hammer(name: &str, good: &[Vec<u8>], rounds: u32, target: impl Fn(&[u8]) -> usize) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for (number, input) in good.iter().enumerate() {
        assert!(tried(name, input, &target) > 0, "good input {number} of {name} gives nothing: its mutations would try nothing");
    }
    for _ in 0..rounds {
        let mut input = good[random.below(good.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut input, good, &mut random);
        }
        input.truncate(LONGEST);
        tried(name, &input, &target);
    }
}

fn tried(name: &str, input: &[u8], target: &impl Fn(&[u8]) -> usize) -> usize {
    catch_unwind(AssertUnwindSafe(|| target(input))).unwrap_or_else(|panic| {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("{name} fails on {} bytes: {hex}", input.len());
        resume_unwind(panic)
    })
}

fn mutate(input: &mut Vec<u8>, good: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len());
    match random.below(8) {
        _ if input.is_empty() => input.push(random.next() as u8),
        0 => input[at] ^= 1 << random.below(8),
        1 => input[at] = random.next() as u8,
        2 => input.truncate(at),
        3 => drop(input.drain(at..(at + 1 + random.below(16)).min(input.len()))),
        4 => {
            let piece: Vec<u8> = (0..random.below(16)).map(|_| random.next() as u8).collect();
            input.splice(at..at, piece);
        }
        5 => {
            let edge = EDGES[random.below(EDGES.len())].to_be_bytes();
            let width = 1 + random.below(4);
            let end = (at + width).min(input.len());
            input.splice(at..end, edge[4 - width..].iter().copied());
        }
        6 => {
            let length = 1 + random.below(64);
            let piece = input[at..(at + length).min(input.len())].to_vec();
            input.splice(at..at, piece);
        }
        _ => {
            let other = &good[random.below(good.len())];
            let from = random.below(other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}
