//! The header of a safetensors file, read in place without an allocator.
//!
//! A safetensors file is the length of its header (8 bytes, little-endian), the header (a JSON
//! object that gives each tensor's type, shape and place, and a `__metadata__` object of strings)
//! and the data. See <https://huggingface.co/docs/safetensors>.

use crate::ModelError;

/// Longest header read; ours take about 3 KB.
const MAX_HEADER: usize = 1 << 16;

/// A header and the data behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header<'a> {
    json: &'a [u8],
    data: &'a [u8],
}

/// One tensor: its description and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tensor<'a> {
    /// Name of its element type, such as `F32` or `I8`.
    pub dtype: &'a [u8],
    /// Sizes of its axes; those past `rank` are 1.
    pub shape: [usize; 4],
    /// Number of axes, at most 4.
    pub rank: usize,
    /// Its elements.
    pub data: &'a [u8],
}

impl<'a> Header<'a> {
    /// Finds the header; its entries are read when asked for.
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
        Ok(Self { json, data })
    }

    /// A string of the `__metadata__` object, as it stands in the JSON (escapes are not undone).
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
        let mut shape = [1; 4];
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

    /// Bytes of data that the tensors take, as the header has it.
    pub fn end(&self) -> Result<usize, ModelError> {
        let mut json = Json { rest: self.json };
        let mut end = 0;
        json.open(b'{')?;
        while let Some(key) = json.next_key()? {
            if key == b"__metadata__" {
                json.skip_value()?;
                continue;
            }
            let mut entry = json;
            entry.find_member(b"data_offsets")?;
            let mut offsets = [0; 2];
            entry.numbers(&mut offsets)?;
            end = end.max(offsets[1]);
            json.skip_value()?;
        }
        Ok(end)
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

    fn number(&mut self) -> Result<usize, ModelError> {
        self.peek()?;
        let mut number = None;
        while let Some(digit @ b'0'..=b'9') = self.rest.first() {
            let (before, digit) = (number.unwrap_or(0usize), usize::from(digit - b'0'));
            let value = before.checked_mul(10).and_then(|value| value.checked_add(digit));
            number = Some(value.ok_or(ModelError::BadHeader)?);
            self.step();
        }
        number.ok_or(ModelError::BadHeader)
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
