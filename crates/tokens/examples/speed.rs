//! Bytes and processor time of one segment: speed FILE.npy
use std::time::Instant;
fn main() {
    let bytes = std::fs::read(std::env::args().nth(1).unwrap_or("/work/shared/tokens/tokens.npy".into())).unwrap();
    let npy = tokens::Npy::parse(&bytes).unwrap();
    let seg = [tokens::Segment { name: "token.npy".into(), npy }];
    let cpu = || {
        let s = std::fs::read_to_string("/proc/self/stat").unwrap();
        let f: Vec<f64> = s.rsplit(')').next().unwrap().split_whitespace().map(|x| x.parse().unwrap_or(0.0)).collect();
        (f[11] + f[12]) / 100.0
    };
    let t = Instant::now();
    let a = tokens::encode(&seg, &tokens::Options::DEFAULT).unwrap();
    println!("{} {:.4} cpu {:.2} wall {:.2}", a.len(), 192000.0 / a.len() as f64, cpu(), t.elapsed().as_secs_f64());
    if std::env::var("DEC").is_ok() {
        let c = cpu();
        assert!(tokens::decode(&a, None).unwrap()[0].1 == bytes);
        println!("decode cpu {:.2}", cpu() - c);
    }
}
