//! A password as it is kept: an Argon2id hash in its usual form, made, read and held against what somebody types. Which passwords
//! are too easy. What chance it takes is handed in; knows no person.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What a new hash costs: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// What a hash made elsewhere may cost; four at once must fit the machine.
const MOST_MEMORY_KIB: u32 = 65_536;
const MOST_PASSES: u32 = 10;
const MOST_LANES: u32 = 8;
const DIGEST_BYTES: usize = 32;
pub const SALT_BYTES: usize = 16;

pub const SHORTEST: usize = 12;
pub const LONGEST: usize = 128;
/// Of a password, so many letters must be left when all that everybody thinks of is taken out.
const LEAST_OF_ITS_OWN: usize = 6;
const FEWEST_DIFFERENT: usize = 5;
/// What everybody thinks of.
const COMMON: [&str; 22] = [
    "password",
    "passwort",
    "passw0rd",
    "p@ssw0rd",
    "p@ssword",
    "reynard",
    "letmein",
    "welcome",
    "changeme",
    "secret",
    "admin",
    "administrator",
    "iloveyou",
    "monkey",
    "dragon",
    "football",
    "qwertyuiop",
    "qwerty",
    "qwertz",
    "asdfghjkl",
    "asdfgh",
    "zxcvbnm",
];
const ROWS: [&str; 2] = ["abcdefghijklmnopqrstuvwxyz", "01234567890"];
/// So much of a row is no thought.
const OF_A_ROW: usize = 4;

/// `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`. It prints as dots.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    memory: u32,
    passes: u32,
    lanes: u32,
    salt: Vec<u8>,
    digest: Vec<u8>,
}

impl PasswordHash {
    /// None when it cannot be calculated, for want of memory.
    pub fn of(password: &str, salt: [u8; SALT_BYTES]) -> Option<Self> {
        let blank = Self { memory: MEMORY_KIB, passes: PASSES, lanes: LANES, salt: salt.to_vec(), digest: vec![0; DIGEST_BYTES] };
        let digest = blank.derive(password)?;
        Some(Self { digest, ..blank })
    }

    /// Reads one, or says what is wrong with it without repeating any of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.trim().split('$').collect();
        let ["", kind, version, costs, salt, digest] = parts[..] else { return Err("this is no Argon2id hash".to_owned()) };
        if kind != "argon2id" || version != "v=19" {
            return Err("this is a hash of another kind than Argon2id, version 19".to_owned());
        }
        let costs: Vec<&str> = costs.split(',').collect();
        let [memory, passes, lanes] = costs[..] else { return Err("the costs of this hash are not m, t and p".to_owned()) };
        let bytes = |text: &str| BASE64_STANDARD_NO_PAD.decode(text).map_err(|_| "salt and hash are not Base64".to_owned());
        let hash = Self {
            memory: cost(memory, "m=", MEMORY_KIB, MOST_MEMORY_KIB)?,
            passes: cost(passes, "t=", PASSES, MOST_PASSES)?,
            lanes: cost(lanes, "p=", LANES, MOST_LANES)?,
            salt: bytes(salt)?,
            digest: bytes(digest)?,
        };
        if !(8..=64).contains(&hash.salt.len()) || !(16..=64).contains(&hash.digest.len()) {
            return Err("salt or hash is too short or too long".to_owned());
        }
        Ok(hash)
    }

    /// Whether this is the password. Takes as long as the costs say, whatever is typed.
    pub fn admits(&self, password: &str) -> bool {
        self.derive(password).is_some_and(|digest| digest.ct_eq(&self.digest).into())
    }

    /// What the settings keep.
    pub fn text(&self) -> String {
        let Self { memory, passes, lanes, salt, digest } = self;
        let [salt, digest] = [salt, digest].map(|bytes| BASE64_STANDARD_NO_PAD.encode(bytes));
        format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${digest}")
    }

    /// What tells it from any other, and nothing else about it.
    pub fn mark(&self) -> String {
        Sha256::digest(self.text()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    fn derive(&self, password: &str) -> Option<Vec<u8>> {
        let params = Params::new(self.memory, self.passes, self.lanes, Some(self.digest.len())).ok()?;
        let mut digest = vec![0; self.digest.len()];
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon.hash_password_into(password.as_bytes(), &self.salt, &mut digest).ok()?;
        Some(digest)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

fn cost(text: &str, name: &str, least: u32, most: u32) -> Result<u32, String> {
    let value = text.strip_prefix(name).and_then(|value| value.parse::<u32>().ok());
    let word = name.trim_end_matches('=');
    value
        .filter(|value| (least..=most).contains(value))
        .ok_or_else(|| format!("the cost {word} of this hash is not from {least} to {most}"))
}

/// Why nobody should have this password; none when they may.
pub fn too_easy(password: &str) -> Option<String> {
    let length = password.chars().count();
    if length < SHORTEST {
        return Some(format!("it has {length} letters, {SHORTEST} are the least; four words that do not belong together do well"));
    }
    if length > LONGEST {
        return Some(format!("it has more than {LONGEST} letters"));
    }
    if password.chars().any(char::is_control) {
        return Some("it has a control character, which not every keyboard can type".to_owned());
    }
    let different: std::collections::BTreeSet<char> = password.to_lowercase().chars().collect();
    let own = own_letters(&password.to_lowercase());
    (different.len() < FEWEST_DIFFERENT || own < LEAST_OF_ITS_OWN).then(|| "everybody who guesses begins with such ones".to_owned())
}

/// Letters that are left without common words, rows of the alphabet or the digits, and repetitions.
fn own_letters(password: &str) -> usize {
    let plain = COMMON.iter().fold(password.to_owned(), |left, word| left.replace(word, " "));
    let letters: Vec<char> = plain.chars().collect();
    let in_a_row = |part: &[char]| {
        let forth: String = part.iter().collect();
        let back: String = part.iter().rev().collect();
        ROWS.iter().any(|row| row.contains(&forth) || row.contains(&back)) || part.iter().all(|letter| *letter == part[0])
    };
    let mut of_a_row = vec![false; letters.len()];
    for (at, part) in letters.windows(OF_A_ROW).enumerate() {
        if in_a_row(part) {
            of_a_row[at..at + OF_A_ROW].fill(true);
        }
    }
    letters.iter().zip(of_a_row).filter(|(letter, taken)| !taken && letter.is_alphanumeric()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = "correct horse battery staple";

    #[test]
    fn a_hash_admits_its_password_and_no_other_also_after_it_was_written_down() {
        let hash = PasswordHash::of(WORDS, [7; SALT_BYTES]).expect("19 MiB");
        let read = PasswordHash::parse(&format!(" {}\n", hash.text())).expect("it is one");
        assert_eq!(read, hash);
        assert!(read.admits(WORDS) && !read.admits("correct horse battery stapl") && !read.admits(""));
        assert_ne!(hash.mark(), PasswordHash::of(WORDS, [8; SALT_BYTES]).expect("19 MiB").mark(), "another salt is another hash");
        assert!(!format!("{hash:?}").contains("argon2"));
    }

    #[test]
    fn what_another_program_made_is_read() {
        // By the reference library: argon2id, 19 MiB, two passes, one lane, salt "somesaltsomesalt".
        let made = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$ISO7kkvFzh19GM8qB7patN3C3Y9HHsjlVTfEZ9T600Y";
        let hash = PasswordHash::parse(made).expect("it is one");
        assert!(hash.admits(WORDS));
        assert_eq!(PasswordHash::of(WORDS, *b"somesaltsomesalt").map(|hash| hash.text()).as_deref(), Some(made));
    }

    #[test]
    fn what_is_no_hash_or_costs_too_little_or_too_much_is_refused_and_not_repeated() {
        let hash = PasswordHash { memory: MEMORY_KIB, passes: 2, lanes: 1, salt: vec![1; 16], digest: vec![2; 32] }.text();
        assert!(PasswordHash::parse(&hash).is_ok());
        for (from, to, said) in [
            ("$argon2id", "hunter2", "no Argon2id hash"),
            ("argon2id", "argon2i", "another kind"),
            ("v=19", "v=16", "another kind"),
            ("m=19456", "m=4096", "m of this hash is not from 19456 to 65536"),
            ("m=19456", "m=4194304", "m of this hash"),
            ("t=2", "t=1", "t of this hash"),
            (",p=1", "", "not m, t and p"),
            ("$AQEB", "$!", "not Base64"),
        ] {
            let told = PasswordHash::parse(&hash.replace(from, to)).expect_err(to);
            assert!(told.contains(said) && !told.contains("hunter2"), "{to}: {told}");
        }
        assert!(PasswordHash::parse("$argon2id$v=19$m=19456,t=2,p=1$$AAAA").expect_err("too short").contains("too short"));
    }

    #[test]
    fn silly_passwords_are_refused_and_odd_ones_taken() {
        for silly in [
            "short",
            "aaaaaaaaaaaaaaa",
            "password1234",
            "Password123!!!",
            "123456789012",
            "abcdefghijklmnop",
            "qwertyuiop1234",
            "reynardreynard",
            "admin-admin-2026",
            "abababababab",
            "with\ttab in the middle",
        ] {
            assert!(too_easy(silly).is_some(), "{silly}");
        }
        assert!(too_easy(&"long ".repeat(30)).is_some());
        for good in ["correct horse battery staple", "ein Fuchs im Hühnerstall", "x7#Kd9!pQz2w", "漢字でも良いパスワードだよね"]
        {
            assert_eq!(too_easy(good), None, "{good}");
        }
    }
}
