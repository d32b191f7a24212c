//! `pianola flash` through the real binary; its output is read back by an independent UF2 reader.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ndarray::ArrayD;
use pianola_host::export::pack;
use pianola_host::export::weights::{FloatWeights, Shape};
use pianola_runtime::Precision;
use pianola_tests::elf::elf;
use pianola_tests::{pianola, refuse, root, succeed};
use tempfile::{TempDir, tempdir};

/// Start addresses of the program and of the model.
const FLASH: u32 = 0x1000_0000;
const MODEL: u32 = 0x1002_0000;

/// A folder with firmware in it: code, and data to be copied to RAM.
struct Bench {
    folder: TempDir,
    code: Vec<u8>,
    data: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempdir().unwrap();
        let code: Vec<u8> = (0..30_001u32).map(|at| (at * 7 % 253) as u8).collect();
        let data = b"moved to RAM at start".to_vec();
        let after = FLASH + 30_004;
        fs::write(folder.path().join("firmware"), elf(&[(FLASH, &code), (after, &data), (0, &[])]))
            .unwrap();
        Self { folder, code, data }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn flash(&self, board: &str, model: Option<&Path>) -> Command {
        let mut command = pianola();
        command.args(["flash", "--board", board]).arg("--firmware").arg(self.at("firmware"));
        if let Some(model) = model {
            command.arg("--model").arg(model);
        }
        command.arg("--out").arg(self.at("out.uf2"));
        command
    }

    /// Reads the UF2 back; it must contain exactly the program and this model.
    fn check(&self, model: &Path) {
        let uf2 = fs::read(self.at("out.uf2")).unwrap();
        let model = fs::read(model).unwrap();
        // From the lowest address on, with zeros in gaps.
        let (flash, families) = uf2_decode::convert_from_uf2(&uf2).unwrap();
        assert_eq!(families.into_iter().collect::<Vec<_>>(), [(0xe48b_ff59, u64::from(FLASH))]);
        let model_at = (MODEL - FLASH) as usize;
        assert!(flash[..self.code.len()] == self.code);
        assert!(flash[30_004..30_004 + self.data.len()] == self.data);
        assert!(flash[model_at..model_at + model.len()] == model);
        assert!(flash.len() - model_at - model.len() < 256, "bytes behind the model");

        // Fields that the boot ROM checks and this reader does not.
        let (blocks, rest) = uf2.as_chunks::<512>();
        assert!(rest.is_empty());
        let mut pages = BTreeMap::new();
        for (number, block) in blocks.iter().enumerate() {
            let (words, _) = block.as_chunks::<4>();
            let words = words[..8].iter().map(|&word| u32::from_le_bytes(word));
            let words: Vec<u32> = words.collect();
            assert_eq!(words[..3], [0x0a32_4655, 0x9e5d_5157, 0x2000]);
            assert_eq!(words[4..], [256, number as u32, blocks.len() as u32, 0xe48b_ff59]);
            assert_eq!(block[508..], 0x0ab1_6f30u32.to_le_bytes());
            assert!(words[3].is_multiple_of(256));
            assert!(pages.insert(words[3], &block[32..288]).is_none(), "a page comes twice");
        }
        let program = 30_004 + self.data.len();
        assert_eq!(pages.len(), program.div_ceil(256) + model.len().div_ceil(256));
        // Unset bytes have the value of erased flash.
        let end = program % 256;
        let page = &pages[&(FLASH + (program - end) as u32)];
        assert!(page[end..].iter().all(|&byte| byte == 0xff));
        assert_eq!(flash[30_001..30_004], [0xff; 3]);
    }

    /// Asserts that nothing was written besides the tests' own files.
    fn is_untouched(&self) -> bool {
        let mut names = fs::read_dir(self.folder.path()).unwrap().map(|file| {
            let name = file.unwrap().file_name();
            name.to_string_lossy().into_owned()
        });
        names.all(|name| !name.contains("uf2") && !name.contains("part"))
    }
}

fn bundled(precision: &str) -> PathBuf {
    root().join(format!("models/expressive-{precision}.safetensors"))
}

#[test]
fn the_file_holds_the_program_and_the_model() {
    let bench = Bench::new();
    let printed = succeed(&mut bench.flash("pico2", None));
    bench.check(&bundled("int4"));
    let bytes = fs::metadata(bundled("int4")).unwrap().len();
    let program = 30_004 + bench.data.len();
    for part in [
        format!("program {program} bytes ({} left)", 131_072 - program),
        format!("model {bytes} bytes ({} left)", 3_968 * 1024 - bytes),
        bench.at("out.uf2").display().to_string(),
    ] {
        assert!(printed.contains(&part), "{part} in {printed}");
    }
    let small = root().join("runtime/tests/models/report-small-int8.safetensors");
    succeed(&mut bench.flash("pico2", Some(&small)));
    bench.check(&small);
}

#[test]
fn an_int8_model_takes_the_larger_board() {
    let bench = Bench::new();
    let int8 = bundled("int8");
    let bytes = fs::metadata(&int8).unwrap().len().to_string();
    let said = refuse(&mut bench.flash("pico2", Some(&int8)));
    for part in ["expressive-int8.safetensors", &bytes, "4 MB", "4063232", "--quantize int4"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(bench.is_untouched());
    let printed = succeed(&mut bench.flash("rp2350-16mb", Some(&int8)));
    assert!(printed.contains(&bytes), "{printed}");
    bench.check(&int8);
}

#[test]
fn a_model_that_the_board_would_refuse_is_refused() {
    let bench = Bench::new();
    let mut damaged = fs::read(bundled("int4")).unwrap();
    damaged[2_000_000] ^= 1;
    fs::write(bench.at("damaged"), damaged).unwrap();
    let said = refuse(&mut bench.flash("pico2", Some(&bench.at("damaged"))));
    assert!(said.contains("damaged: ") && said.contains("checksum"), "{said}");
    let said = refuse(&mut bench.flash("pico2", Some(&bench.at("firmware"))));
    assert!(said.contains("firmware: "), "{said}");
    let said = refuse(&mut bench.flash("pico2", Some(&bench.at("nowhere"))));
    assert!(said.contains("nowhere"), "{said}");

    // Small, but with one layer more than the firmware supports.
    let shape = Shape::report(4, 16, 4, 16);
    let zeros = |(name, sizes): (String, Vec<usize>)| (name, ArrayD::zeros(sizes));
    let tensors = shape.tensors().into_iter().map(zeros).collect();
    let deep = FloatWeights { shape, tensors, provenance: String::new() };
    fs::write(bench.at("deep"), pack(&deep, Precision::Int8).unwrap().bytes).unwrap();
    let said = refuse(&mut bench.flash("rp2350-16mb", Some(&bench.at("deep"))));
    assert!(said.contains("4 layers of 16"), "{said}");
    assert!(bench.is_untouched());
}

#[test]
fn firmware_that_is_none_is_refused() {
    let bench = Bench::new();
    let wide = vec![1; (MODEL - FLASH) as usize];
    let host = pianola().get_program().to_owned();
    for (file, says) in [
        (elf(&[(FLASH, &wide[1..]), (MODEL - 1, &[1, 2])]), "2 bytes at 0x1001ffff"),
        (elf(&[(FLASH, &[wide.clone(), vec![1]].concat())]), "131073 bytes at 0x10000000"),
        (elf(&[(0x0fff_ffff, &[1, 2])]), "2 bytes at 0xfffffff"),
        (elf(&[(0xffff_ffff, &[1, 2])]), "2 bytes at 0xffffffff"),
        (elf(&[(FLASH + 256, &[1])]), "does not start at 0x10000000"),
        (elf(&[]), "does not start at 0x10000000"),
        (elf(&[(FLASH, &[1])])[..84].to_vec(), "cut short"),
        (elf(&[(FLASH, &[1])])[..83].to_vec(), "damaged ELF"),
        (vec![], "not an ELF file"),
        (fs::read(bundled("int4")).unwrap(), "not an ELF file"),
        (fs::read(host).unwrap(), "not an ELF file"),
    ] {
        fs::write(bench.at("firmware"), file).unwrap();
        let said = refuse(&mut bench.flash("pico2", None));
        assert!(said.contains(says) && said.contains("firmware"), "{says} in {said}");
        assert!(bench.is_untouched());
    }
    fs::remove_file(bench.at("firmware")).unwrap();
    let said = refuse(&mut bench.flash("pico2", None));
    assert!(said.contains("cannot read") && said.contains("firmware"), "{said}");

    // The program's whole region is usable.
    fs::write(bench.at("firmware"), elf(&[(FLASH, &wide)])).unwrap();
    let printed = succeed(&mut bench.flash("pico2", None));
    assert!(printed.contains("program 131072 bytes (0 left)"), "{printed}");
}

#[test]
fn what_is_read_is_not_written_over() {
    let bench = Bench::new();
    fs::copy(bundled("int4"), bench.at("model")).unwrap();
    for input in ["model", "firmware"] {
        let before = fs::read(bench.at(input)).unwrap();
        let mut command = pianola();
        command.args(["flash", "--board", "pico2", "--firmware"]).arg(bench.at("firmware"));
        command.arg("--model").arg(bench.at("model")).arg("--out").arg(bench.at(input));
        assert!(refuse(&mut command).contains("would be overwritten"));
        assert!(fs::read(bench.at(input)).unwrap() == before);
    }
}
