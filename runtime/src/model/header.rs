//! The header of a safetensors file, read in place without an allocator.
//!
//! A safetensors file is the length of its header (8 bytes, little-endian), the header (a JSON
//! object that gives each tensor's type, shape and place, and a `__metadata__` object of strings)
//! and the data. See <https://huggingface.co/docs/safetensors>.

use crate::ModelError;

/// Longest header read; ours take about 3 KB.
const MAX_HEADER: usize = 1 << 16;

/// Most tensors of a file; a model of the most layers has fewer than 60.
const MAX_TENSORS: usize = 128;

/// Most axes of a tensor.
const MAX_RANK: usize = 4;

/// A header and the data behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header<'a> {
    json: Json<'a>,
    data: &'a [u8],
    /// Where the data of the last tensor ends.
    end: usize,
}

/// One tensor: its description and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tensor<'a> {
    /// Name of its element type, such as `F32` or `I8`.
    pub dtype: &'a [u8],
    /// Sizes of its axes; those past `rank` are 1.
    pub shape: [usize; MAX_RANK],
    /// Number of axes, at most [`MAX_RANK`].
    pub rank: usize,
    /// Its elements.
    pub data: &'a [u8],
}

impl<'a> Header<'a> {
    /// Finds the header and checks it as the `safetensors` crate does: it is one JSON object and
    /// nothing else, no key occurs twice, and the tensors follow one another without a gap
    /// and without sharing a byte. Its entries are read when asked for.
    ///
    /// Names with escapes in them and tensors without data, which no model file has, are refused.
    pub fn read(file: &'a [u8]) -> Result<Self, ModelError> {
        let (length, rest) = file.split_first_chunk::<8>().ok_or(ModelError::Truncated)?;
        let length = u64::from_le_bytes(*length);
        if length > MAX_HEADER as u64 {
            return Err(ModelError::NotAModel);
        }
        let (json, data) = rest.split_at_checked(length as usize).ok_or(ModelError::Truncated)?;
        if json.first() != Some(&b'{') {
            return Err(ModelError::NotAModel);
        }
        let mut places = [[0; 2]; MAX_TENSORS];
        let tensors = check(json, &mut places).ok_or(ModelError::BadHeader)?;
        let places = places.get(..tensors).ok_or(ModelError::NotAModel)?;
        let end = end_of(places).ok_or(ModelError::BadHeader)?;
        Ok(Self { json: Json { rest: json }, data, end })
    }

    /// A string of the `__metadata__` object, as written in the JSON (escapes are not decoded).
    pub fn metadata(&self, key: &str) -> Option<&'a [u8]> {
        self.json.member(b"__metadata__")?.member(key.as_bytes())?.text()
    }

    /// The tensor of that name, if there is one.
    pub fn tensor(&self, name: &str) -> Option<Tensor<'a>> {
        let entry = self.json.member(name.as_bytes())?;
        let dtype = entry.member(b"dtype")?.text()?;
        let (mut shape, mut place) = ([1; MAX_RANK], [0; 2]);
        let rank = entry.member(b"shape")?.numbers(&mut shape)?;
        entry.member(b"data_offsets")?.numbers(&mut place)?;
        let data = self.data.get(place[0]..place[1])?;
        Some(Tensor { dtype, shape, rank, data })
    }

    /// The header of a file that ends with its last tensor, and the bytes behind that.
    pub fn split_spare(self) -> Option<(Self, &'a [u8])> {
        let (data, spare) = self.data.split_at_checked(self.end)?;
        Some((Self { data, ..self }, spare))
    }

    /// Bytes of data in the file.
    pub fn data_len(&self) -> usize {
        self.data.len()
    }

    /// Bytes of data that the tensors take, according to the header.
    pub fn end(&self) -> usize {
        self.end
    }
}

/// Where the data of a tensor begins and ends.
type Place = [usize; 2];

/// Checks the whole text; returns the number of tensors, and sets their places as far as there is room.
fn check(text: &[u8], places: &mut [Place]) -> Option<usize> {
    core::str::from_utf8(text).ok()?;
    let mut tensors = 0;
    let mut json = Json { rest: text };
    json.object(&mut |key, json| {
        if key == b"__metadata__" {
            return json.object(&mut |_, json| json.text().map(drop));
        }
        let place = json.tensor()?;
        if let Some(entry) = places.get_mut(tensors) {
            *entry = place;
        }
        tensors += 1;
        Some(())
    })?;
    json.peek().is_none().then_some(tensors)
}

/// Where the data of the last tensor ends; `None` if there is a gap, a shared byte or a tensor without data.
fn end_of(places: &[Place]) -> Option<usize> {
    let next = |end, _: &Place| {
        let next = places.iter().find(|[begin, behind]| *begin == end && behind > begin);
        next.map(|[_, behind]| *behind)
    };
    places.iter().try_fold(0, next)
}

/// A number in decimal digits, at least one.
#[inline(never)] // boards have no flash for a copy at every call
pub(crate) fn parse(digits: &[u8]) -> Option<usize> {
    digits.first()?;
    digits.iter().try_fold(0usize, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// Reads the value of a key of an object.
type Value<'v, 'a> = &'v mut dyn FnMut(&'a [u8], &mut Json<'a>) -> Option<()>;

/// A place in JSON text. Only what safetensors headers hold is understood: objects, strings, and
/// arrays of non-negative integers. Reading anything else returns `None`.
#[derive(Clone, Copy, Debug)]
struct Json<'a> {
    rest: &'a [u8],
}

impl<'a> Json<'a> {
    /// The next byte that is no space.
    #[inline(never)]
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied()
    }

    /// Past the next byte.
    fn step(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// Past a byte, which must come next.
    #[inline(never)]
    fn expect(&mut self, byte: u8) -> Option<()> {
        let found = self.peek()? == byte;
        self.step();
        found.then_some(())
    }

    /// Reads an object strictly, with a comma between each two members and no key twice: `value`
    /// is called at each value, and reads it.
    fn object(&mut self, value: Value<'_, 'a>) -> Option<()> {
        let members = *self;
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            self.step();
            return Some(());
        }
        loop {
            let key = self.text()?;
            self.expect(b':')?;
            let first = members.member(key)?;
            if key.contains(&b'\\') || first.rest.len() != self.rest.len() {
                return None;
            }
            value(key, self)?;
            match self.peek()? {
                b',' => self.step(),
                _ => return self.expect(b'}'),
            }
        }
    }

    /// The value of a key, the first of that name, of the object that begins here.
    #[inline(never)]
    fn member(mut self, key: &[u8]) -> Option<Self> {
        self.expect(b'{')?;
        loop {
            let found = self.text()?;
            self.expect(b':')?;
            if found == key {
                return Some(self);
            }
            self.skip_value()?;
            self.expect(b',')?;
        }
    }

    /// The description of a tensor, strictly: three fields. Returns where its data begins and ends.
    fn tensor(&mut self) -> Option<Place> {
        let (mut fields, mut place) = (0, [0; 2]);
        self.object(&mut |key, json| {
            fields += 1;
            match key {
                b"dtype" => json.text().map(drop),
                b"shape" => json.numbers(&mut [0; MAX_RANK]).map(drop),
                b"data_offsets" if json.numbers(&mut place)? == 2 => Some(()),
                _ => None,
            }
        })?;
        (fields == 3).then_some(place)
    }

    /// A string without its quotes. Its escapes, which are left as they are, are those of JSON, and it has no
    /// control characters.
    #[inline(never)]
    fn text(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let start = self.rest;
        loop {
            let (&byte, behind) = self.rest.split_first()?;
            self.rest = match (byte, behind) {
                (b'"', _) => {
                    let length = start.len() - self.rest.len();
                    self.rest = behind;
                    return start.get(..length);
                }
                (b'\\', [b'u', a, b, c, d, behind @ ..])
                    if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
                {
                    behind
                }
                (b'\\', [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', behind @ ..]) => {
                    behind
                }
                (b'\\' | ..=0x1f, _) => return None,
                _ => behind,
            };
        }
    }

    /// An array of at most `numbers.len()` numbers; returns how many there were.
    #[inline(never)]
    fn numbers(&mut self, numbers: &mut [usize]) -> Option<usize> {
        self.expect(b'[')?;
        let mut count = 0;
        while self.peek()? != b']' {
            if count > 0 {
                self.expect(b',')?;
                self.peek()?;
            }
            let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (digits, rest) = self.rest.split_at_checked(digits)?;
            if let [b'0', _, ..] = digits {
                return None; // JSON has no leading zeros
            }
            *numbers.get_mut(count)? = parse(digits)?;
            self.rest = rest;
            count += 1;
        }
        self.step();
        Some(count)
    }

    /// Past a value, to the comma or bracket behind it.
    fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                b'"' => drop(self.text()?),
                b'{' | b'[' => {
                    depth += 1;
                    self.step();
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.step();
                }
                _ => self.step(),
            }
            if depth == 0 && matches!(self.peek()?, b',' | b'}') {
                return Some(());
            }
        }
    }
}
