//! Many samples at once, in order.

use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// Runs `work` for every index on `threads` threads and hands the results to `sink` in order, on the calling thread.
///
/// Thread `t` of `n` works on every `n`-th index and is at most one result ahead of `sink`, so memory is bounded by two
/// results a thread. A result goes back to its thread after use: `work` gets it to overwrite. The first error of either
/// ends the run and is returned.
pub fn in_order<T: Send, E: Send>(
    indices: Range<usize>,
    threads: usize,
    work: impl Fn(usize, Option<T>) -> Result<T, E> + Sync,
    mut sink: impl FnMut(usize, &T) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.clamp(1, indices.len().max(1));
    let produce = |first: usize, results: SyncSender<Result<T, E>>, used: Receiver<T>| {
        for index in indices.clone().skip(first).step_by(threads) {
            let result = work(index, used.try_recv().ok());
            let failed = result.is_err();
            // Nobody listens any more once the run has failed elsewhere.
            if results.send(result).is_err() || failed {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        let start = |first: usize| -> (Receiver<Result<T, E>>, Sender<T>) {
            let (results, receiver) = sync_channel(1);
            let (give_back, used) = channel();
            let produce = &produce;
            scope.spawn(move || produce(first, results, used));
            (receiver, give_back)
        };
        let workers: Vec<_> = (0..threads).map(start).collect();
        for (index, (results, give_back)) in indices.clone().zip(workers.iter().cycle()) {
            // A thread that ends without a word has panicked; leaving the scope passes the panic on.
            let Ok(result) = results.recv() else { break };
            let result = result?;
            sink(index, &result)?;
            // Refused only by a thread that has no more work.
            let _ = give_back.send(result);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_arrive_in_order_whatever_the_thread_count() {
        for threads in [0, 1, 2, 3, 8, 100] {
            let mut seen = Vec::new();
            let work = |i: usize, used: Option<usize>| {
                assert!(used.is_none_or(|old| old < i * i));
                std::thread::yield_now();
                Ok::<_, ()>(i * i)
            };
            in_order(3..40, threads, work, |i, &square| {
                assert_eq!(square, i * i);
                seen.push(i);
                Ok(())
            })
            .unwrap();
            assert_eq!(seen, (3..40).collect::<Vec<_>>());
        }
        in_order(5..5, 2, |_, _: Option<()>| Err("never run"), |_, _| Err("never run")).unwrap();
    }

    #[test]
    fn the_first_error_ends_the_run() {
        for threads in [1, 2, 8] {
            let mut last = 0;
            let work = |i: usize, _| if i == 20 { Err("work") } else { Ok(i) };
            let sink = |i: usize, _: &usize| {
                last = i;
                Ok(())
            };
            assert_eq!(in_order(0..1000, threads, work, sink), Err("work"));
            assert_eq!(last, 19);
            let sink = |i: usize, _: &usize| if i == 7 { Err("sink") } else { Ok(()) };
            assert_eq!(in_order(0..1_000_000, threads, |i, _| Ok(i), sink), Err("sink"));
        }
    }

    #[test]
    #[should_panic(expected = "scoped thread panicked")]
    fn a_panic_of_the_work_is_passed_on() {
        let work = |i: usize, _: Option<usize>| if i == 3 { panic!("in the work") } else { Ok::<_, ()>(i) };
        let _ = in_order(0..10, 2, work, |_, _| Ok(()));
    }
}
