package ingress

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/guards"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// validate has the API server judge all that changes before any of it is written: its admission, the webhook of the
// ingress controller above all, sees a dry run as it sees a write. The Secrets are there already: the webhook looks
// into those that a plugin or a consumer names, and what nothing names means nothing to Kong.
func (r *run) validate(ctx context.Context, want []objects.Object) error {
	changed := r.changed(want)
	if len(changed) < 2 {
		return nil // the write itself is all or nothing
	}
	for _, o := range changed {
		if err := r.cluster.validate(ctx, o); err != nil {
			return r.failed(o, err)
		}
	}
	return nil
}

// changed are the objects above Secrets that are not there with the content that is wanted. What is there with it was
// judged before, also by another process; so was a route that is there guarded.
func (r *run) changed(want []objects.Object) (changed []objects.Object) {
	for _, o := range want {
		before, there := r.own[o.Reference]
		judged := there && (before.Sum == o.Sum || before.Guarded)
		if o.Rank() > objects.RankBase && !o.Attached && o.Content != nil && !judged {
			changed = append(changed, o)
		}
	}
	return changed
}

// refusal is what the API server refuses of an owner's objects: what is there stays.
type refusal struct{ *status.StalledError }

// Unwrap gives the error that controllers know.
func (r refusal) Unwrap() error { return r.StalledError }

// failed says what an object that cannot be written means for its owner.
func (r *run) failed(o objects.Object, err error) error {
	if !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) && !apierrors.IsBadRequest(err) {
		return fmt.Errorf("apply %s: %w", o.Reference, err)
	}
	stalled := status.Stalled(v1alpha1.ReasonKongRejected,
		"%s: the API server refuses %s: %s; nothing of the change is written, but for access that it takes away "+
			"(KongGateway %s). Correct the field; where it is right, ask those who run the cluster's admission.",
		fieldOf(o), o.Reference, reasonFor(err), r.start.Scope.Gateway)
	stalled.RetryAfter = r.settings.DriftInterval
	if o.Entity == kong.KindConsumer {
		stalled.RetryAfter = again // the webhook refuses a name that is about to leave Kong
	}
	return refusal{stalled}
}

// violation finds the fields that Kong's validation names, in what the ingress controller's webhook says of it.
var violation = regexp.MustCompile(`schema violations? \(([a-z_][A-Za-z0-9_.]*): `)

// reasonFor says why the API server refuses: the field of Kong where its validation names one, and no text that may
// hold a value, as that may come from a Secret.
func reasonFor(err error) string {
	if found := violation.FindStringSubmatch(err.Error()); found != nil {
		return "invalid " + found[1]
	}
	return cmp.Or(string(apierrors.ReasonForError(err)), "its admission denies it")
}

// fieldOf is the field of a spec that an object is made of.
func fieldOf(o objects.Object) string {
	switch o.Entity {
	case kong.KindService:
		return "spec.upstream"
	case kong.KindRoute:
		return "spec.routes"
	case kong.KindPlugin:
		return desired.PluginField(o.Part)
	}
	return "spec"
}

// unlessRefused takes away what a refused change takes away all the same: credentials and groups of a consumer,
// routes, and those whom a service no longer admits. All else stays as it is.
func (r *run) unlessRefused(ctx context.Context, err error) error {
	var refused refusal
	if !errors.As(err, &refused) {
		return err
	}
	wanted := map[string]bool{}
	for _, o := range r.want {
		wanted[o.ID] = true
	}
	withdrawn, withdraws := r.withdraw(ctx, r.owner, func(o held.Object) bool { return o.IsAccess() && !wanted[o.ID] })
	r.result.Writes += withdrawn.Writes
	return errors.Join(err, withdraws, r.takeRoutes(ctx), r.narrow(ctx))
}

// takeRoutes deletes the routes that nobody wants.
func (r *run) takeRoutes(ctx context.Context) error {
	for reference, is := range r.own {
		if _, wanted := r.want[reference]; wanted || is.Entity != kong.KindRoute {
			continue
		}
		if err := r.cluster.remove(ctx, reference); err != nil {
			return fmt.Errorf("take away %s: %w", reference, err)
		}
		r.drop(is)
		delete(r.own, reference)
		r.result.Writes++
	}
	return nil
}

// narrow takes those groups out of the acl plugins that are not wanted, and adds to those that they keep out.
func (r *run) narrow(ctx context.Context) error {
	for _, o := range r.want {
		if o.Content["plugin"] != "acl" {
			continue
		}
		change, err := changeOf(ctx, r, o)
		if err == nil && change.Narrows {
			err = r.bringBetween(ctx, o, change)
		}
		if err != nil {
			return fmt.Errorf("take groups out of %s: %w", o.Reference, err)
		}
	}
	return nil
}

// bringGuards finds which of the plugins that are wanted would let somebody in too early: while a route, a service or
// an annotation is not in Kong as it is wanted, or another plugin that keeps somebody out. Those wait, and what else
// they change, whom they shut out, is written at once.
func (r *run) bringGuards(ctx context.Context, want []objects.Object) error {
	changes := map[objects.Reference]guards.Change{}
	for _, o := range want {
		change, err := changeOf(ctx, r, o)
		if err != nil {
			return err
		}
		changes[o.Reference] = change
	}
	reaches, pushed := r.reaches(kong.KindRoute) || r.reaches(kong.KindService) || r.reaches(attached), r.barrier.Pushed()
	for _, o := range want {
		change := changes[o.Reference]
		early := change.Widens && (reaches || slices.ContainsFunc(want, func(other objects.Object) bool {
			return other.Reference != o.Reference && isGuard(other) &&
				(changes[other.Reference].Narrows || r.own[other.Reference].Since > pushed)
		}))
		if !early {
			continue
		}
		if change.Narrows {
			if err := r.bringBetween(ctx, o, change); err != nil {
				return err
			}
		}
		r.early[o.Reference], r.open = true, true
	}
	return nil
}

// bringBetween writes a plugin that admits only whom the one that is there and the wanted one admit.
func (r *run) bringBetween(ctx context.Context, o objects.Object, change guards.Change) error {
	between := change.Between
	for _, part := range r.objects.Configured(o, between.Config, between.Off, between.Protocols) {
		if err := r.bring(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// changeOf says what becomes of a plugin that keeps somebody out; nothing where it is as it is wanted, or not there.
func changeOf(ctx context.Context, r *run, o objects.Object) (guards.Change, error) {
	if is, there := r.own[o.Reference]; !there || !isGuard(o) || is.Sum == o.Sum {
		return guards.Change{}, nil
	}
	live, err := r.cluster.get(ctx, o.Reference)
	if err != nil || live == nil {
		return guards.Change{}, err
	}
	former, err := configOf(live.Object, func(secret objects.Reference) (kong.Fields, error) {
		is, err := r.cluster.get(ctx, secret)
		if err != nil || is == nil {
			return nil, err
		}
		return parseConfig(dataOf(is)["config"]), nil
	})
	if err != nil {
		return guards.Change{}, fmt.Errorf("read the configuration of %s: %w", o.Reference, err)
	}
	now, _ := configOf(o.Content, func(secret objects.Reference) (kong.Fields, error) { // it has no error
		texts := kong.Fields(r.want[secret].Content).Object("stringData")
		return parseConfig(kong.Fields(texts).Text("config")), nil
	})
	plugin, _ := o.Content["plugin"].(string)
	return guards.Compare(plugin, guardOf(live.Object, former), guardOf(o.Content, now)), nil
}

// isGuard says whether an object is a plugin that keeps somebody out.
func isGuard(o objects.Object) bool {
	plugin, _ := o.Content["plugin"].(string)
	return o.Entity == kong.KindPlugin && desired.KeepsOut(plugin)
}

func guardOf(content map[string]any, config kong.Fields) guards.Guard {
	return guards.Guard{
		Config: config, Off: content["disabled"] == true, Protocols: kong.Fields(content).Strings("protocols"),
	}
}

// configOf is the configuration of a plugin in an object's content. One in a Secret is read; where that is not there,
// nobody is known to be admitted.
func configOf(content map[string]any, read func(objects.Reference) (kong.Fields, error)) (kong.Fields, error) {
	from := kong.Fields(kong.Fields(content).Object("configFrom")).Object("secretKeyRef")
	if from == nil {
		return kong.Fields(content).Object("config"), nil
	}
	secret := objects.Reference{APIVersion: "v1", Kind: kindSecret.Kind}
	secret.Namespace, secret.Name = kong.Fields(from).Text("namespace"), kong.Fields(from).Text("name")
	config, err := read(secret)
	if config == nil {
		config = kong.Fields{"deny": guards.Everywhere}
	}
	return config, err
}

// parseConfig reads the configuration of a plugin out of a Secret; nil where it is none.
func parseConfig(text string) (config kong.Fields) {
	if json.Unmarshal([]byte(text), &config) != nil {
		return nil
	}
	return config
}

// guarded gives a service with the plugins that it is to lose, as long as a route that relied on them is not as it is
// wanted.
func (r *run) guarded(ctx context.Context, o objects.Object) (objects.Object, error) {
	if o.Entity != kong.KindService {
		return o, nil
	}
	leaving := map[string]bool{}
	for reference, is := range r.own {
		if _, wanted := r.want[reference]; !wanted && is.Entity == kong.KindPlugin {
			leaving[is.Name] = true
		}
	}
	if len(leaving) == 0 || !r.reaches(kong.KindRoute) {
		return o, nil
	}
	live, err := r.cluster.get(ctx, o.Reference)
	if err != nil || live == nil {
		return o, err
	}
	named := slices.DeleteFunc(objects.Plugins(live.GetAnnotations()), func(name string) bool { return !leaving[name] })
	if len(named) == 0 {
		return o, nil
	}
	r.open = true
	return r.objects.Naming(o, named), nil
}

// attached stands for the object of somebody else's that plugins are put on.
const attached = kong.Kind("attached")

// reaches says whether Kong may have a route or a service of the owner's otherwise than it is wanted, or what its
// plugins are put on. One that nobody gets to does not count.
func (r *run) reaches(kind kong.Kind) bool {
	pushed := r.barrier.Pushed()
	for reference, is := range r.own {
		if is.Guarded || is.Entity != kind && (!is.Attached || kind != attached) {
			continue
		}
		want, wanted := r.want[reference]
		if !wanted || is.Since > pushed || want.Content != nil && want.Sum != is.Sum {
			return true
		}
	}
	return kind == kong.KindRoute && r.held.LastRemoved(r.owner) > pushed
}
