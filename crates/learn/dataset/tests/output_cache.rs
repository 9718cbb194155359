//! The outputs of a perception stack, kept on disk.

use std::fs;
use std::path::PathBuf;

use dataset::OutputCache;
use frames::Planes;
use metric::{NetworkHashes, PIXELS, POSE_LEN, PerceptionStack, StackError, StackIdentity};

/// Says something of the frames' first values.
struct Stack {
    segnet: u8,
    refuses: bool,
    asked: usize,
}

fn stack_of(segnet: u8) -> Stack {
    Stack { segnet, refuses: false, asked: 0 }
}

impl PerceptionStack for Stack {
    fn identity(&self) -> StackIdentity {
        let networks = NetworkHashes { segnet: [self.segnet; 32], posenet: [9; 32] };
        StackIdentity { networks, runtime: "a test".into() }
    }

    fn classes(&mut self, frame: &Planes) -> Result<Vec<u8>, StackError> {
        self.asked += 1;
        if self.refuses { Err(StackError::new("no")) } else { Ok(vec![frame.data()[0] as u8; PIXELS]) }
    }

    fn pose(&mut self, pair: [&Planes; 2]) -> Result<[f32; POSE_LEN], StackError> {
        self.asked += 1;
        Ok([pair[0].data()[0] - pair[1].data()[0]; POSE_LEN])
    }
}

#[test]
fn a_clip_is_evaluated_once_and_damaged_caches_count_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mkv");
    fs::write(&clip, b"any bytes: only their hash counts").unwrap();
    let cache = OutputCache::in_folder(folder.path().join("deep/cache"));
    let mut stack = stack_of(1);
    let planes = [200.0, 0.0, 9.0].map(|color| Planes::new(1, 1, 1, vec![color]).unwrap());
    let pairs = [[&planes[0], &planes[1]], [&planes[1], &planes[2]]];

    let mut fresh = cache.clip(&clip, 0, &stack).unwrap();
    assert_eq!(fresh.cached(), 0);
    let outputs = pairs.map(|pair| fresh.next(&mut stack, Some(pair)).unwrap());
    assert_ne!(outputs[0], outputs[1]);
    fresh.keep();

    let mut known = cache.clip(&clip, 0, &stack).unwrap();
    assert_eq!(known.cached(), 2);
    assert_eq!(pairs.map(|_| known.next(&mut stack, None).unwrap()), outputs);
    assert!(known.next(&mut stack, None).is_err(), "a third sample is not known");
    assert_eq!(stack.asked, 4);

    // Another track is another clip.
    assert_eq!(cache.clip(&clip, 1, &stack).unwrap().cached(), 0);

    // Another SegNet: its outputs are unknown, PoseNet's still known.
    let mut other = Stack { refuses: true, ..stack_of(2) };
    let mut mixed = cache.clip(&clip, 0, &other).unwrap();
    assert_eq!(mixed.cached(), 0);
    assert!(mixed.next(&mut other, Some(pairs[0])).is_err());

    let files: Vec<PathBuf> =
        fs::read_dir(folder.path().join("deep/cache")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 2);
    for file in &files {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(file, bytes).unwrap();
        assert_eq!(cache.clip(&clip, 0, &stack).unwrap().cached(), 0);
    }

    fs::write(&clip, b"another clip").unwrap();
    assert_eq!(cache.clip(&clip, 0, &stack).unwrap().cached(), 0);
    let unwritable = OutputCache::in_folder(clip.join("not a folder"));
    let mut forgotten = unwritable.clip(&clip, 0, &stack).unwrap();
    forgotten.next(&mut stack, Some(pairs[0])).unwrap();
    forgotten.keep();
}
