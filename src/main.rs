//! The `sealgate` program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    sealgate::gate::run(&a[1], a[2].parse().unwrap());
}
