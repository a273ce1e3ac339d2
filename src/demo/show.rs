//! What the demo prints: lines to paste, and each decision as it happens.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use super::store::{ACCESS_KEY, SECRET_KEY};

/// Prints what runs, and what can be tried.
pub fn intro(proxy: SocketAddr, store: SocketAddr, bucket: &str, folder: &Path) {
    let url = format!("http://{proxy}");
    println!(
        "Sealgate on {url}, in front of an embedded store on http://{store} ({}).
Its policy: objects in the bucket `{bucket}` must be written with server-side encryption (require: any).
The embedded store is a toy that encrypts nothing and confirms nothing; `unconfirmed: report` lets its answers pass here.

Paste into another terminal:

  head -c 2000000 /dev/zero > big.bin
  curl -i -T big.bin {url}/{bucket}/big.bin
      refused: 403 before the body, no byte of the 2 MB is sent

  curl -i -T big.bin -H 'x-amz-server-side-encryption: AES256' \\
      --aws-sigv4 aws:amz:us-east-1:s3 --user {ACCESS_KEY}:{SECRET_KEY} \\
      -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' {url}/{bucket}/big.bin
      accepted: 200

  export AWS_ACCESS_KEY_ID={ACCESS_KEY} AWS_SECRET_ACCESS_KEY={SECRET_KEY} AWS_DEFAULT_REGION=us-east-1
  aws --endpoint-url {url} s3 cp big.bin s3://{bucket}/
      refused
  aws --endpoint-url {url} s3 cp --sse AES256 big.bin s3://{bucket}/
      accepted

Ctrl-C ends it. Each decision, as it happens:
",
        folder.display()
    );
}

/// Prints a line for each audit line that is written from now on.
pub fn follow(audit: PathBuf) {
    std::thread::spawn(move || {
        let file = loop {
            match File::open(&audit) {
                Ok(file) => break file,
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        let mut reader = BufReader::new(file);
        let mut line = String::new();
        loop {
            match reader.read_line(&mut line) {
                Ok(_) if line.ends_with('\n') => {
                    if let Some(text) = decision(&line) {
                        println!("{text}");
                    }
                    line.clear();
                }
                Ok(_) => std::thread::sleep(Duration::from_millis(50)),
                Err(_) => return,
            }
        }
    });
}

fn decision(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let decision = event["decision"].as_str()?;
    let mut out = format!(
        "{:6} {} {}/{}  {} {}",
        decision.to_uppercase(),
        text("operation"),
        text("bucket"),
        text("key"),
        event["status"],
        text("code")
    );
    if let Some(condition) = event["condition"].as_str() {
        out.extend(["\n       ", condition]);
    }
    if let Some(n) = event["bytes_refused"].as_u64().filter(|n| *n > 0) {
        out.extend([
            "\n       ",
            &n.to_string(),
            " body bytes never left the client",
        ]);
    }
    Some(out)
}
