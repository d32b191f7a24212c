//! The bundled models: every instruction set of this machine computes the same bits from them.

#[path = "../../runtime/host/tests/common/agreement.rs"]
mod agreement;

use agreement::every_instruction_set_agrees;
use pianola_runtime::include_model;

const NOTES: u32 = 500;

static MODELS: [&[u8]; 5] = [
    include_model!("../../models/report-int8.safetensors"),
    include_model!("../../models/report-int4.safetensors"),
    include_model!("../../models/expressive-int8.safetensors"),
    include_model!("../../models/expressive-int4.safetensors"),
    include_model!("../../models/small-int4.safetensors"),
];

#[test]
fn instruction_sets_agree_on_the_bundled_models() {
    for file in MODELS {
        every_instruction_set_agrees(file, NOTES);
    }
}
