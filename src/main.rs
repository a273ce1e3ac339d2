//! The `sealgate` program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let (c, w) = sealgate::config::Config::load(std::path::Path::new(&a[a.len()-1])).unwrap_or_else(|e| { eprintln!("{e}"); std::process::exit(1) });
    for w in w { eprintln!("{w}"); }
    if let Err(e) = sealgate::gate::run(&c) { eprintln!("{e}"); std::process::exit(1) }
}
