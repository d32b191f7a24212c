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
    json: &'a [u8],
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
        Ok(Self { json, data, end: check(json)? })
    }

    /// A string of the `__metadata__` object, as written in the JSON (escapes are not decoded).
    pub fn metadata(&self, key: &str) -> Result<&'a [u8], ModelError> {
        let mut json = self.value_of(b"__metadata__")?.ok_or(ModelError::NotAModel)?;
        json.find_member(key.as_bytes())?;
        json.string()
    }

    /// The tensor of that name, if there is one.
    pub fn tensor(&self, name: &str) -> Result<Option<Tensor<'a>>, ModelError> {
        let Some(entry) = self.value_of(name.as_bytes())? else { return Ok(None) };
        let field = |key: &[u8]| {
            let mut json = entry;
            json.find_member(key)?;
            Ok::<_, ModelError>(json)
        };
        let dtype = field(b"dtype")?.string()?;
        let mut shape = [1; MAX_RANK];
        let rank = field(b"shape")?.numbers(&mut shape)?;
        let mut offsets = [0; 2];
        if field(b"data_offsets")?.numbers(&mut offsets)? != 2 {
            return Err(ModelError::BadHeader);
        }
        let data = self.data.get(offsets[0]..offsets[1]).ok_or(ModelError::Truncated)?;
        Ok(Some(Tensor { dtype, shape, rank, data }))
    }

    /// Bytes of data in the file.
    pub fn data_len(&self) -> usize {
        self.data.len()
    }

    /// Bytes of data that the tensors take, according to the header.
    pub fn end(&self) -> usize {
        self.end
    }

    fn value_of(&self, key: &[u8]) -> Result<Option<Json<'a>>, ModelError> {
        let mut json = Json { rest: self.json };
        json.open(b'{')?;
        while let Some(found) = json.next_key()? {
            if found == key {
                return Ok(Some(json));
            }
            json.skip_value()?;
        }
        Ok(None)
    }
}

/// Checks the whole header; returns where the data of the last tensor ends.
fn check(json: &[u8]) -> Result<usize, ModelError> {
    core::str::from_utf8(json).map_err(|_| ModelError::BadHeader)?;
    let (mut places, mut tensors) = ([[0usize; 2]; MAX_TENSORS], 0);
    let mut text = Json { rest: json };
    text.object(&mut |key, json| {
        if key == b"__metadata__" {
            return json.object(&mut |_, json| json.text().map(|_| ()));
        }
        *places.get_mut(tensors).ok_or(ModelError::NotAModel)? = json.tensor()?;
        tensors += 1;
        Ok(())
    })?;
    if !text.rest.trim_ascii_start().is_empty() {
        return Err(ModelError::BadHeader);
    }
    let places = places.get(..tensors).unwrap_or_default();
    let mut end = 0;
    for _ in places {
        // The tensor that follows; none if there is a gap, a shared byte, or no data at all.
        let next = places.iter().find(|[begin, behind]| *begin == end && behind > begin);
        [_, end] = *next.ok_or(ModelError::BadHeader)?;
    }
    Ok(end)
}

/// Reads the value of a key of an object.
type Value<'v, 'a> = &'v mut dyn FnMut(&'a [u8], &mut Json<'a>) -> Result<(), ModelError>;

/// A place in JSON text. Only what safetensors headers hold is understood: objects, strings, and
/// arrays of non-negative integers.
#[derive(Clone, Copy, Debug)]
struct Json<'a> {
    rest: &'a [u8],
}

impl<'a> Json<'a> {
    fn peek(&mut self) -> Result<u8, ModelError> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied().ok_or(ModelError::BadHeader)
    }

    /// Past the next byte.
    fn step(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    fn open(&mut self, bracket: u8) -> Result<(), ModelError> {
        if self.peek()? != bracket {
            return Err(ModelError::BadHeader);
        }
        self.step();
        Ok(())
    }

    /// Reads an object strictly, with a comma between each two members and no key twice: `value`
    /// is called at each value, and reads it.
    fn object(&mut self, value: Value<'_, 'a>) -> Result<(), ModelError> {
        let members = *self;
        let mut count = 0;
        self.open(b'{')?;
        if self.peek()? == b'}' {
            self.step();
            return Ok(());
        }
        loop {
            let key = self.text()?;
            if key.contains(&b'\\') || members.has_key(key, count)? {
                return Err(ModelError::BadHeader);
            }
            count += 1;
            self.open(b':')?;
            value(key, self)?;
            match self.peek()? {
                b',' => self.step(),
                b'}' => {
                    self.step();
                    return Ok(());
                }
                _ => return Err(ModelError::BadHeader),
            }
        }
    }

    /// Whether one of the first members of the object that begins here has that key.
    fn has_key(mut self, key: &[u8], members: usize) -> Result<bool, ModelError> {
        self.open(b'{')?;
        for _ in 0..members {
            if self.next_key()? == Some(key) {
                return Ok(true);
            }
            self.skip_value()?;
        }
        Ok(false)
    }

    /// The description of a tensor, strictly: three fields. Returns where its data begins and ends.
    fn tensor(&mut self) -> Result<[usize; 2], ModelError> {
        let (mut fields, mut place) = (0, [0; 2]);
        self.object(&mut |key, json| {
            fields += 1;
            match key {
                b"dtype" => json.text().map(|_| ()),
                b"shape" => json.numbers(&mut [0; MAX_RANK]).map(|_| ()),
                b"data_offsets" if json.numbers(&mut place)? == 2 => Ok(()),
                _ => Err(ModelError::BadHeader),
            }
        })?;
        if fields == 3 { Ok(place) } else { Err(ModelError::BadHeader) }
    }

    /// A string, strictly: its escapes are those of JSON, and it has no control characters.
    fn text(&mut self) -> Result<&'a [u8], ModelError> {
        let string = self.string()?;
        let mut rest = string;
        while let Some((&byte, behind)) = rest.split_first() {
            rest = match (byte, behind) {
                (b'\\', [b'u', a, b, c, d, behind @ ..])
                    if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
                {
                    behind
                }
                (b'\\', [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', behind @ ..]) => {
                    behind
                }
                (b'\\' | ..=0x1f, _) => return Err(ModelError::BadHeader),
                _ => behind,
            };
        }
        Ok(string)
    }

    /// Steps to the next member of the object and returns its key, or to the object's end.
    fn next_key(&mut self) -> Result<Option<&'a [u8]>, ModelError> {
        if self.peek()? == b',' {
            self.step();
        }
        if self.peek()? == b'}' {
            self.step();
            return Ok(None);
        }
        let key = self.string()?;
        self.open(b':')?;
        Ok(Some(key))
    }

    /// From an object's start to the value of one of its members.
    fn find_member(&mut self, key: &[u8]) -> Result<(), ModelError> {
        self.open(b'{')?;
        while let Some(found) = self.next_key()? {
            if found == key {
                return Ok(());
            }
            self.skip_value()?;
        }
        Err(ModelError::BadHeader)
    }

    /// A string without its quotes, escapes left as they are.
    fn string(&mut self) -> Result<&'a [u8], ModelError> {
        self.open(b'"')?;
        let mut escaped = false;
        let end = self.rest.iter().position(|&byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let parts = end.and_then(|end| self.rest.split_at_checked(end));
        let (string, rest) = parts.ok_or(ModelError::BadHeader)?;
        self.rest = rest;
        self.step();
        Ok(string)
    }

    /// A number, which has no leading zeros.
    fn number(&mut self) -> Result<usize, ModelError> {
        self.peek()?;
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at_checked(digits).ok_or(ModelError::BadHeader)?;
        self.rest = rest;
        if let [] | [b'0', _, ..] = digits {
            return Err(ModelError::BadHeader);
        }
        digits.iter().try_fold(0usize, |number, digit| {
            let digit = usize::from(digit - b'0');
            let value = number.checked_mul(10).and_then(|value| value.checked_add(digit));
            value.ok_or(ModelError::BadHeader)
        })
    }

    /// An array of at most `numbers.len()` numbers; returns how many there were.
    fn numbers(&mut self, numbers: &mut [usize]) -> Result<usize, ModelError> {
        self.open(b'[')?;
        let mut count = 0;
        while self.peek()? != b']' {
            if count > 0 {
                self.open(b',')?;
            }
            *numbers.get_mut(count).ok_or(ModelError::BadHeader)? = self.number()?;
            count += 1;
        }
        self.open(b']')?;
        Ok(count)
    }

    fn skip_value(&mut self) -> Result<(), ModelError> {
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.step();
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1).ok_or(ModelError::BadHeader)?;
                    self.step();
                }
                _ => self.step(),
            }
            if depth == 0 && matches!(self.peek()?, b',' | b'}') {
                return Ok(());
            }
        }
    }
}
