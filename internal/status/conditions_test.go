package status

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var (
	errStalled   = Stalled(v1alpha1.ReasonConflict, "key %s is held by %s", "k", "JwtConsumer a/b")
	errSuspended = Stalled(v1alpha1.ReasonSuspended, "spec.suspend is true")
	errWait      = Wait(time.Second, v1alpha1.ReasonKongUnreachable, "waiting for Kong")
	errOther     = errors.New("connection reset")
)

func TestConditionsFollowTheOutcome(t *testing.T) {
	for what, c := range map[string]struct {
		err                         error
		ready                       metav1.ConditionStatus
		reason, abnormal, inMessage string
	}{
		"done":             {nil, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, "", "all is well"},
		"stalled":          {errStalled, metav1.ConditionFalse, v1alpha1.ReasonConflict, v1alpha1.ConditionStalled, "JwtConsumer a/b"},
		"stalled, wrapped": {fmt.Errorf("sync: %w", errStalled), metav1.ConditionFalse, v1alpha1.ReasonConflict, v1alpha1.ConditionStalled, "JwtConsumer a/b"},
		"waiting":          {errWait, metav1.ConditionFalse, v1alpha1.ReasonKongUnreachable, v1alpha1.ConditionReconciling, "waiting for Kong"},
		"failed":           {errOther, metav1.ConditionFalse, v1alpha1.ReasonProgressing, v1alpha1.ConditionReconciling, "connection reset"},
	} {
		t.Run(what, func(t *testing.T) {
			var conditions []metav1.Condition
			Apply(&conditions, 7, "all is well", c.err)
			ready := apimeta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
			if ready == nil || ready.Status != c.ready || ready.Reason != c.reason || !strings.Contains(ready.Message, c.inMessage) || ready.ObservedGeneration != 7 {
				t.Errorf("Ready is %+v", ready)
			}
			for _, kind := range []string{v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling} {
				if got := apimeta.IsStatusConditionTrue(conditions, kind); got != (kind == c.abnormal) {
					t.Errorf("%s is %t", kind, got)
				}
			}
		})
	}
}

// A person who repairs one thing must not find the next only afterwards.
func TestReadyNamesAllThatStalls(t *testing.T) {
	first, second := Stalled(v1alpha1.ReasonSecretNotFound, "spec.a: is not there. Make it."), Stalled(v1alpha1.ReasonConflict, "spec.b: is held")
	for _, c := range []struct {
		err     error
		message string
	}{
		{errors.Join(first, second), "spec.a: is not there. Make it. spec.b: is held"},
		{errors.Join(second, errWait, fmt.Errorf("sync: %w", errors.Join(first, second))), "spec.b: is held; spec.a: is not there. Make it."},
		{errors.Join(errOther, first), "spec.a: is not there. Make it."},
	} {
		var conditions []metav1.Condition
		Apply(&conditions, 1, "", c.err)
		if ready := apimeta.FindStatusCondition(conditions, v1alpha1.ConditionReady); ready.Message != c.message {
			t.Errorf("%q is not %q", ready.Message, c.message)
		}
	}
}

// kstatus reads Reconciling and Stalled as opposites: whatever came before, never are both there, and no false one
// lies about.
func TestConditionsAreNeverAtOdds(t *testing.T) {
	outcomes := rapid.SliceOfN(rapid.SampledFrom([]error{nil, errStalled, errSuspended, errWait, errOther}), 1, 10)
	rapid.Check(t, func(t *rapid.T) {
		var conditions []metav1.Condition
		var last error
		for i, err := range outcomes.Draw(t, "outcomes") {
			Apply(&conditions, int64(i), "done", err)
			last = err
		}
		stalled := apimeta.FindStatusCondition(conditions, v1alpha1.ConditionStalled)
		reconciling := apimeta.FindStatusCondition(conditions, v1alpha1.ConditionReconciling)
		if stalled != nil && reconciling != nil {
			t.Fatal("stalled and reconciling at once")
		}
		suspended := last == errSuspended //nolint:errorlint // It is drawn as it is.
		if suspended != apimeta.IsStatusConditionTrue(conditions, v1alpha1.ConditionSuspended) {
			t.Fatalf("Suspended does not follow the last outcome, %v", last)
		}
		if !suspended && (last == nil) != apimeta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReady) {
			t.Fatalf("Ready does not follow the last outcome, %v", last)
		}
		for _, c := range conditions {
			if c.Type != v1alpha1.ConditionReady && c.Status != metav1.ConditionTrue {
				t.Fatalf("%s is %s, and should not be there", c.Type, c.Status)
			}
		}
	})
}

// What is in Kong goes on while a resource is left alone: tools that read kstatus see it Current, not InProgress.
func TestReadyStaysAsItWasWhileSuspended(t *testing.T) {
	for what, c := range map[string]struct {
		before error
		kept   []string
	}{
		"ready":       {nil, []string{v1alpha1.ConditionReady}},
		"stalled":     {errStalled, []string{v1alpha1.ConditionReady, v1alpha1.ConditionStalled}},
		"on its way":  {errWait, []string{v1alpha1.ConditionReady}},
		"not yet any": {errSuspended, nil},
	} {
		t.Run(what, func(t *testing.T) {
			var before, after []metav1.Condition
			Apply(&before, 1, "done", c.before)
			Apply(&after, 1, "done", c.before)
			Apply(&after, 2, "", errSuspended)
			if suspended := apimeta.FindStatusCondition(after, v1alpha1.ConditionSuspended); suspended == nil ||
				suspended.ObservedGeneration != 2 || suspended.Message != errSuspended.Message {
				t.Errorf("Suspended is %+v", suspended)
			}
			if len(after) != len(c.kept)+1 {
				t.Errorf("%d conditions: %+v", len(after), after)
			}
			for _, kind := range c.kept {
				was, is := apimeta.FindStatusCondition(before, kind), apimeta.FindStatusCondition(after, kind)
				if is == nil || is.Status != was.Status || is.Reason != was.Reason || is.ObservedGeneration != 1 {
					t.Errorf("%s is %+v, and was %+v", kind, is, was)
				}
			}
		})
	}
}

func TestTheSameOutcomeChangesNothing(t *testing.T) {
	for _, err := range []error{nil, errStalled, errWait} {
		var conditions []metav1.Condition
		Apply(&conditions, 1, "done", err)
		past := metav1.NewTime(time.Unix(1000, 0))
		for i := range conditions {
			conditions[i].LastTransitionTime = past
		}
		Apply(&conditions, 1, "done", err)
		for _, c := range conditions {
			if c.LastTransitionTime != past {
				t.Errorf("%v: %s moved its time without a transition", err, c.Type)
			}
		}
	}
}

func TestAMessageThatTheAPIServerWouldRefuseIsCut(t *testing.T) {
	for _, message := range []string{strings.Repeat("x", 40000), strings.Repeat("€", 20000)} {
		var applied, put []metav1.Condition
		Apply(&applied, 1, message, nil)
		Set(&put, metav1.Condition{Type: "T", Status: metav1.ConditionTrue, Reason: "R", Message: message})
		for _, condition := range []metav1.Condition{applied[0], put[0]} {
			if got := condition.Message; len(got) > 32768 || len(got) < 32760 || !utf8.ValidString(got) {
				t.Errorf("%s has %d bytes, valid: %v", condition.Type, len(got), utf8.ValidString(got))
			}
		}
	}
}

func TestWhatAnIngressControllerHoldsUpIsSaidBesideWhatStalls(t *testing.T) {
	late := Wait(time.Second, v1alpha1.ReasonAwaitingController, "not taken for 40s")
	pending := Wait(time.Second, v1alpha1.ReasonRevocationPending, "not taken for 40s")
	for name, test := range map[string]struct {
		err                  error
		ready                string
		awaiting, revocation bool
	}{
		"nothing":                 {nil, v1alpha1.ReasonSucceeded, false, false},
		"a change":                {late, v1alpha1.ReasonAwaitingController, true, false},
		"a revocation":            {pending, v1alpha1.ReasonRevocationPending, true, true},
		"a revocation and a stop": {errors.Join(errStalled, pending), errStalled.Reason, true, true},
		"a stop":                  {errStalled, errStalled.Reason, false, false},
		"another wait":            {errWait, errWait.Reason, false, false},
	} {
		conditions := []metav1.Condition{ // what was said before does not stay
			{Type: v1alpha1.ConditionAwaitingController, Status: metav1.ConditionTrue},
			{Type: v1alpha1.ConditionRevocationPending, Status: metav1.ConditionTrue},
		}
		Apply(&conditions, 1, "done", test.err)
		ready := apimeta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
		if ready.Reason != test.ready ||
			apimeta.IsStatusConditionTrue(conditions, v1alpha1.ConditionAwaitingController) != test.awaiting ||
			apimeta.IsStatusConditionTrue(conditions, v1alpha1.ConditionRevocationPending) != test.revocation {
			t.Errorf("%s: %+v", name, conditions)
		}
	}
}

func TestFlagIsThereOnlyWhileTrue(t *testing.T) {
	var conditions []metav1.Condition
	Flag(&conditions, 1, v1alpha1.ConditionWeakSecret, v1alpha1.ConditionWeakSecret, "too short")
	if !apimeta.IsStatusConditionTrue(conditions, v1alpha1.ConditionWeakSecret) {
		t.Error("the flag is not set")
	}
	Flag(&conditions, 2, v1alpha1.ConditionWeakSecret, v1alpha1.ConditionWeakSecret, "")
	if len(conditions) != 0 {
		t.Errorf("it stays: %v", conditions)
	}
}

func TestNext(t *testing.T) {
	late := Stalled(v1alpha1.ReasonKongRejected, "refused")
	late.RetryAfter = time.Minute
	for what, c := range map[string]struct {
		err   error
		after time.Duration
		retry bool
	}{
		"done":                     {nil, 0, false},
		"stalled waits for a word": {errStalled, 0, false},
		"stalled, tried later":     {fmt.Errorf("sync: %w", late), time.Minute, false},
		"waiting":                  {errWait, time.Second, false},
		"failed backs off":         {errOther, 0, true},
	} {
		t.Run(what, func(t *testing.T) {
			after, retry := Next(c.err)
			if after != c.after || (retry != nil) != c.retry {
				t.Errorf("got %s, %v", after, retry)
			}
		})
	}
}

func TestSoonerTakesZeroForNever(t *testing.T) {
	for _, c := range [][3]time.Duration{{0, 0, 0}, {0, 2, 2}, {2, 0, 2}, {1, 2, 1}, {2, 1, 1}} {
		if got := Sooner(c[0], c[1]); got != c[2] {
			t.Errorf("Sooner(%d, %d) is %d, want %d", c[0], c[1], got, c[2])
		}
	}
}
