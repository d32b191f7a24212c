//! Prints the instruction sets that this machine has, the fastest first.

use pianola_runtime::Isa;

fn main() {
    for isa in Isa::available() {
        println!("{}", isa.name());
    }
}
