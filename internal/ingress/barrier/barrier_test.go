package barrier_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/barrier"
)

// object is a barrier's object, of a controller that takes it when told.
type object struct {
	answer barrier.Answer
	failed error
	writes int
	// behind are the data planes that lag, and askedFor and pushed what they were asked for.
	behind, askedFor string
	pushed           uint64
	// writing is called while it is written.
	writing func()
}

func (o *object) Write(context.Context) (int64, error) {
	if o.writing != nil {
		o.writing()
	}
	if o.failed != nil {
		return 0, o.failed
	}
	o.writes++
	o.answer.Taken = true
	o.answer.Generation++
	return o.answer.Generation, nil
}

func (o *object) Read(context.Context) (barrier.Answer, error) { return o.answer, o.failed }

func (o *object) Behind(key string, pushed uint64) string {
	o.askedFor, o.pushed = key, pushed
	return o.behind
}

func (o *object) Remove(context.Context) error {
	o.answer.Taken = false
	return nil
}

var pace = barrier.Pace{Settle: time.Second, Blame: 8 * time.Second, Late: 40 * time.Second}

type rig struct {
	*barrier.Barrier
	*object
	now time.Time
}

func newRig() *rig {
	r := &rig{object: &object{}, now: time.Unix(1000, 0)}
	r.Barrier = barrier.New(r.object, pace, func() time.Time { return r.now })
	return r
}

func (r *rig) look(t interface{ Fatal(...any) }) []desired.Owner {
	freed, err := r.Look(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return freed
}

func TestAWriteIsConfirmedByTheBarrierThatWasWrittenAfterIt(t *testing.T) {
	r := newRig()
	owner := desired.ConsumerOwner("team", "app")
	epoch := r.Wrote()
	r.Await(owner, epoch, false)
	r.look(t)
	if r.writes != 0 {
		t.Fatal("the barrier was written before the writes had settled")
	}
	r.now = r.now.Add(pace.Settle)
	r.look(t)
	later := r.Wrote() // while the barrier is under way
	if freed := r.look(t); len(freed) != 0 || r.Confirmed() != 0 {
		t.Fatal("confirmed before the controller took it")
	}
	r.answer.Programmed = r.answer.Generation
	if freed := r.look(t); len(freed) != 1 || freed[0] != owner || r.Confirmed() != epoch {
		t.Fatalf("%v are freed, %d is confirmed", freed, r.Confirmed())
	}
	r.now = r.now.Add(pace.Settle)
	r.look(t)
	r.look(t)
	if r.Confirmed() >= later {
		t.Fatal("the word for an earlier barrier confirmed a later write")
	}
	r.answer.Programmed = r.answer.Generation
	r.look(t)
	if r.Confirmed() != later {
		t.Fatal("the later write is not confirmed")
	}
}

func TestNothingIsConfirmedBeforeEveryDataPlaneHasIt(t *testing.T) {
	r := newRig()
	owner := desired.ConsumerOwner("team", "app")
	epoch := r.Wrote()
	r.Await(owner, epoch, false)
	r.now = r.now.Add(pace.Settle)
	r.look(t)
	r.answer.Programmed, r.answer.Key, r.behind = r.answer.Generation, "key", "node b does not hold it"
	if freed := r.look(t); len(freed) != 0 || r.Confirmed() != 0 || r.State().Behind != r.behind {
		t.Fatalf("%v are freed, %+v", freed, r.State())
	}
	if r.askedFor != "key" || r.pushed != epoch {
		t.Errorf("asked for %s of epoch %d", r.askedFor, r.pushed)
	}
	r.now = r.now.Add(pace.Late + time.Second)
	if _, overdue := r.Overdue(); overdue {
		t.Error("it is looked for what holds up the pushes, which holds up none")
	}
	if state := r.State(); !state.Late || !strings.Contains(state.Lateness("kong"), r.behind) {
		t.Errorf("%+v: %s", state, state.Lateness("kong"))
	}
	r.behind = ""
	if freed := r.look(t); len(freed) != 1 || r.Confirmed() != epoch || r.State().Behind != "" {
		t.Errorf("%v are freed, %+v", freed, r.State())
	}
}

func TestWhatComesAfterADataPlaneThatNeverAnswersIsPushedAllTheSame(t *testing.T) {
	r := newRig()
	adds, narrows := desired.ServiceOwner("team", "adds"), desired.ServiceOwner("team", "narrows")
	first := r.Wrote()
	r.Await(adds, first, false)
	r.now = r.now.Add(pace.Settle)
	r.look(t)
	r.behind, r.answer.Programmed = "node b does not answer", r.answer.Generation
	if freed := r.look(t); len(freed) != 0 || r.Pushed() != first {
		t.Fatalf("%v are freed, %d is pushed", freed, r.Pushed())
	}
	second := r.Wrote()
	r.Await(narrows, second, true)
	r.now = r.now.Add(pace.Settle)
	if r.look(t); r.writes != 1 {
		t.Fatal("a data plane that only lags gets no time")
	}
	r.now = r.now.Add(pace.Blame)
	if r.look(t); r.writes != 2 || r.Pushed() != first {
		t.Fatalf("written %d times, %d is pushed", r.writes, r.Pushed())
	}
	if _, overdue := r.Overdue(); overdue || r.State().Behind == "" {
		t.Errorf("%+v", r.State())
	}
	r.answer.Programmed = r.answer.Generation
	if freed := r.look(t); len(freed) != 1 || freed[0] != narrows || r.Pushed() != second || r.Confirmed() != 0 {
		t.Fatalf("%v are freed, %+v", freed, r.State())
	}
	if freed := r.look(t); len(freed) != 0 {
		t.Errorf("%v are freed again", freed)
	}
	r.now = r.now.Add(pace.Late - pace.Blame)
	if !r.State().Late {
		t.Error("a later barrier makes the lateness begin anew")
	}
	r.behind = ""
	if freed := r.look(t); len(freed) != 2 || r.Confirmed() != second {
		t.Errorf("%v are freed, %+v", freed, r.State())
	}
}

func TestPushesThatStopWhileADataPlaneIsBehindAreLookedInto(t *testing.T) {
	r := newRig()
	r.Wrote()
	r.now = r.now.Add(pace.Settle)
	r.look(t)
	r.behind, r.answer.Programmed = "node b does not answer", r.answer.Generation
	r.look(t)
	r.Wrote()
	r.now = r.now.Add(pace.Settle + pace.Blame)
	r.look(t)
	r.now = r.now.Add(pace.Late)
	if _, overdue := r.Overdue(); !overdue {
		t.Fatal("nobody looks what holds up the pushes")
	}
	r.Blame("KongPlugin b/bad: invalid config.minute")
	if text := r.State().Lateness("kong"); !strings.Contains(text, "Kong refuses KongPlugin b/bad") {
		t.Error(text)
	}
}

func TestABarrierThatSomebodyTookAwayIsWrittenAgain(t *testing.T) {
	for name, change := range map[string]func(*object){
		"deleted":        func(o *object) { o.answer = barrier.Answer{} },
		"another class":  func(o *object) { o.answer.Taken = false },
		"made anew":      func(o *object) { o.answer.Generation, o.answer.Programmed = 0, 0 },
		"left as it was": func(*object) {},
	} {
		r := newRig()
		r.answer.Generation = 5
		epoch := r.Wrote()
		r.now = r.now.Add(pace.Settle)
		r.look(t)
		change(r.object)
		r.look(t)
		want := 2
		if name == "left as it was" {
			want = 1
		}
		if r.writes != want {
			t.Errorf("%s: written %d times", name, r.writes)
		}
		r.answer.Programmed = r.answer.Generation
		r.look(t)
		if r.Confirmed() != epoch {
			t.Errorf("%s: not confirmed", name)
		}
	}
}

func TestAnotherProcessMayHaveWrittenTheBarrierSince(t *testing.T) {
	r := newRig()
	epoch := r.Wrote()
	r.now = r.now.Add(pace.Settle)
	r.look(t)
	r.answer.Generation += 3
	r.answer.Programmed = r.answer.Generation
	if r.look(t); r.Confirmed() != epoch {
		t.Error("a later generation does not confirm")
	}
}

func TestWhatCannotBeWrittenIsWrittenAgain(t *testing.T) {
	r := newRig()
	epoch := r.Wrote()
	r.now = r.now.Add(pace.Settle)
	r.failed = errors.New("unavailable")
	if _, err := r.Look(t.Context()); err == nil {
		t.Error("the error is lost")
	}
	r.failed = nil
	r.look(t)
	r.answer.Programmed = r.answer.Generation
	if r.look(t); r.Confirmed() != epoch {
		t.Error("not confirmed")
	}
}

func TestWhatCannotBeWrittenIsLateThoughSomebodyWritesAllTheTime(t *testing.T) {
	r := newRig()
	r.failed = errors.New("the webhook is down")
	for begun := r.now; r.now.Sub(begun) < 2*pace.Late; r.now = r.now.Add(pace.Settle) {
		_, _ = r.Look(t.Context())
		r.Wrote()
	}
	if state := r.State(); !state.Late || !strings.Contains(state.Lateness("kong"), "the webhook is down") {
		t.Errorf("%+v: %s", state, state.Lateness("kong"))
	}
	r.failed = nil
	if r.look(t); r.State().Late {
		t.Error("late though it is written")
	}
}

func TestLatenessNamesWhatHoldsUpThePushes(t *testing.T) {
	r := newRig()
	late := func(want string) {
		t.Helper()
		r.Wrote()
		r.now = r.now.Add(pace.Settle)
		r.look(t)
		r.now = r.now.Add(pace.Blame)
		if _, overdue := r.Overdue(); overdue || r.State().Late {
			t.Error("overdue too early")
		}
		r.now = r.now.Add(pace.Late)
		if _, overdue := r.Overdue(); !overdue || !r.State().Late {
			t.Error("not overdue")
		}
		if text := r.State().Lateness("kong"); !strings.HasPrefix(text, "not taken for 40s") || !strings.Contains(text, want) {
			t.Errorf("%s\nwithout %s", text, want)
		}
	}
	late(`nobody takes objects of the class "kong"`)
	r.Blame("KongPlugin team-b/bad: invalid config.minute")
	if text := r.State().Lateness("kong"); !strings.Contains(text, "Kong refuses KongPlugin team-b/bad: invalid") {
		t.Error(text)
	}
	r.answer.Programmed = r.answer.Generation
	r.look(t)
	if r.State().Late || r.State().Blame != "" {
		t.Error("a push ends lateness and blame")
	}
	late("look whether the ingress controller runs")
}

func TestNoEpochIsEverConfirmedThatTheControllerHasNotTaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig()
		var epochs, taken []uint64 // taken are those that had been written when the controller took the object
		var before uint64          // the last epoch when the object was written last
		writes := 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				epochs = append(epochs, r.Wrote())
			case 1:
				r.now = r.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second)
			case 2:
				r.answer.Programmed = r.answer.Generation
				if before > 0 {
					taken = append(taken, before)
				}
			case 3:
				r.answer = barrier.Answer{} // somebody deletes it
			default:
				r.look(t)
				if r.writes != writes {
					writes = r.writes
					before = uint64(len(epochs))
				}
			}
			if confirmed := r.Confirmed(); confirmed > 0 && (len(taken) == 0 || confirmed > taken[len(taken)-1]) {
				t.Fatalf("%d is confirmed, taken were %v", confirmed, taken)
			}
		}
		for range 3 { // a controller that works takes all
			r.now = r.now.Add(pace.Settle)
			r.look(t)
			r.answer.Programmed = r.answer.Generation
			r.look(t)
		}
		if int(r.Confirmed()) != len(epochs) {
			t.Fatalf("%d of %d are confirmed", r.Confirmed(), len(epochs))
		}
	})
}

func TestABarrierThatEndedIsNotWrittenAgain(t *testing.T) {
	r := newRig()
	r.Wrote()
	r.now = r.now.Add(pace.Settle)
	began, ended := make(chan struct{}), make(chan error)
	r.writing = func() { // its gateway leaves while it is written
		go func() {
			close(began)
			ended <- r.End(context.Background())
		}()
		<-began
		runtime.Gosched()
	}
	r.look(t)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(pace.Settle)
	r.look(t)
	if r.answer.Taken || r.writes != 1 {
		t.Fatalf("it is there: %v, after %d writes", r.answer.Taken, r.writes)
	}
}
