//! What clients ask of services.

use super::entry::{Step, Waiter};
use super::{Action, Ask, Core, Entry, EntryId, Kind, Phase, Refusal, RequestId};

impl Core {
    pub(super) fn request(&mut self, id: RequestId, ask: Ask, entry: EntryId, step: &mut Step<'_>) {
        if let Err(refusal) = self.may_ask(entry) {
            step.out.push(Action::Reply(id, Err(refusal)));
            return;
        }
        self.with(entry, |entry| match ask {
            Ask::Start => entry.ask_start(id, step),
            Ask::Stop => entry.ask_stop(id, step),
            Ask::Restart => entry.ask_restart(id, step),
        });
    }

    fn may_ask(&self, id: EntryId) -> Result<(), Refusal> {
        if matches!(
            self.phase,
            Phase::Stopping(_) | Phase::Onshutdown(_) | Phase::Over(_)
        ) {
            return Err(Refusal::NotNow("the machine is going down".to_owned()));
        }
        let Some(entry) = self.entry(id) else {
            return Err(Refusal::NotNow("there is no such entry".to_owned()));
        };
        let name = &entry.spec.name;
        if entry.spec.kind != Kind::Service {
            return Err(Refusal::NotNow(format!("{name} is not a service")));
        }
        match &entry.spec.error {
            Some(error) => Err(Refusal::Failed(format!("{name}: {error}"))),
            None => Ok(()),
        }
    }
}

impl Entry {
    fn ask_start(&mut self, id: RequestId, step: &mut Step<'_>) {
        if self.is_up() {
            step.out.push(Action::Reply(id, Ok(())));
        } else {
            self.want();
            self.wait(Waiter { id, up: true });
        }
    }

    fn ask_stop(&mut self, id: RequestId, step: &mut Step<'_>) {
        if self.is_stuck() {
            let why = format!("{}: killed, and still there", self.spec.name);
            step.out.push(Action::Reply(id, Err(Refusal::Failed(why))));
            return;
        }
        self.wait(Waiter { id, up: false });
        self.settle("stopped on request", step);
        self.stop(false, step);
        self.answer_if_down(step);
    }

    fn ask_restart(&mut self, id: RequestId, step: &mut Step<'_>) {
        // Those who waited for the run that ends now get the next one.
        self.want();
        self.called = true;
        self.wait(Waiter { id, up: true });
        self.stop(false, step);
    }
}
