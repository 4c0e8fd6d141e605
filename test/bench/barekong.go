package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// bareTag marks what the bare client makes.
const bareTag = "kongjwt-bench-bare"

// medianOf is how many changes, and PUTs beside them, a median is taken of.
const medianOf = 100

// bareKong sends PUTs to an Admin API and nothing else.
type bareKong struct {
	url         string
	concurrency int
	http        *http.Client
}

func newBareKong(url string, concurrency int) *bareKong {
	transport := &http.Transport{MaxIdleConns: concurrency, MaxIdleConnsPerHost: concurrency, MaxConnsPerHost: concurrency}
	return &bareKong{url: url, concurrency: concurrency, http: &http.Client{Transport: transport}}
}

type object = map[string]any

func (k *bareKong) put(ctx context.Context, path string, fields object) error {
	tags := []string{bareTag, "kongjwt", "kongjwt-installation:" + uuid.Nil.String(), "kongjwt-gateway:bare"}
	fields["tags"] = tags
	return k.do(ctx, http.MethodPut, path, fields, nil)
}

func (k *bareKong) do(ctx context.Context, method, path string, fields object, into any) error {
	var body io.Reader
	if fields != nil {
		content, err := json.Marshal(fields)
		if err != nil {
			return err
		}
		body = bytes.NewReader(content)
	}
	request, err := http.NewRequestWithContext(ctx, method, k.url+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := k.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, content)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(content, into)
}

// one is the time of one PUT alone, of a consumer that is the same each time.
func (k *bareKong) one(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	err := k.put(ctx, "/consumers/"+oneConsumer, object{"username": "bare." + uuid.NewString()})
	return time.Since(began), err
}

// forgetOne deletes it.
func (k *bareKong) forgetOne(ctx context.Context) error {
	return k.do(ctx, http.MethodDelete, "/consumers/"+oneConsumer, nil, nil)
}

// oneConsumer is the id of the consumer that is put again and again.
const oneConsumer = "9f8f0f3a-5f0f-4d7e-8d3c-0d6f2b8a5e11"

// at gives what a share of the values, from 0 to 1, is not above.
func at[T cmp.Ordered](share float64, values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

// fill puts as many entities, of the same kinds, as the operator has to.
func (k *bareKong) fill(ctx context.Context, s settings) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(k.concurrency)
	for i := range s.services {
		group.Go(func() error { return k.fillService(groupCtx, i) })
	}
	for i := range s.consumers {
		group.Go(func() error { return k.fillConsumer(groupCtx, i) })
	}
	return group.Wait()
}

func (k *bareKong) fillConsumer(ctx context.Context, i int) error {
	id, name := uuid.NewString(), fmt.Sprintf("bare.%d", i)
	if err := k.put(ctx, "/consumers/"+id, object{"username": name}); err != nil {
		return err
	}
	if err := k.put(ctx, "/consumers/"+id+"/jwt/"+uuid.NewString(), object{
		"key": name, "algorithm": "HS256", "secret": uuid.NewString() + uuid.NewString(),
	}); err != nil {
		return err
	}
	for _, group := range []string{"bare", name} {
		if err := k.put(ctx, "/consumers/"+id+"/acls/"+uuid.NewString(), object{"group": group}); err != nil {
			return err
		}
	}
	return nil
}

func (k *bareKong) fillService(ctx context.Context, i int) error {
	id, name := uuid.NewString(), fmt.Sprintf("bare.%d", i)
	reference := object{"id": id}
	if err := k.put(ctx, "/services/"+id, object{"name": name, "host": name + ".example.com"}); err != nil {
		return err
	}
	if err := k.put(ctx, "/plugins/"+uuid.NewString(), object{"name": "jwt", "service": reference}); err != nil {
		return err
	}
	acl := object{"name": "acl", "service": reference, "config": object{"allow": []string{"bare"}}}
	if err := k.put(ctx, "/plugins/"+uuid.NewString(), acl); err != nil {
		return err
	}
	for route := range routesPerService {
		fields := object{"name": fmt.Sprintf("%s.%d", name, route), "paths": []string{fmt.Sprintf("/%s/%d", name, route)}, "service": reference}
		if err := k.put(ctx, "/routes/"+uuid.NewString(), fields); err != nil {
			return err
		}
	}
	return nil
}

// clean deletes what has a tag: a real Kong is somebody's.
func (k *bareKong) clean(ctx context.Context, tag string) error {
	for _, kind := range []string{"routes", "plugins", "services", "consumers"} {
		for {
			var page struct {
				Data []struct{ ID string } `json:"data"`
			}
			if err := k.do(ctx, http.MethodGet, "/"+kind+"?size=1000&tags="+url.QueryEscape(tag), nil, &page); err != nil {
				return err
			}
			if len(page.Data) == 0 {
				break
			}
			group, groupCtx := errgroup.WithContext(ctx)
			group.SetLimit(k.concurrency)
			for _, one := range page.Data {
				group.Go(func() error { return k.do(groupCtx, http.MethodDelete, "/"+kind+"/"+one.ID, nil, nil) })
			}
			if err := group.Wait(); err != nil {
				return err
			}
		}
	}
	return nil
}
