//! Prints the instruction sets of this machine, the fastest first.

use pianola_runtime::Isa;

fn main() {
    for isa in Isa::available() {
        println!("{}", isa.name());
    }
}
