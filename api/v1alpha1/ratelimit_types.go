package v1alpha1

// RateLimit bounds how often a caller may call.
//
// +kubebuilder:validation:XValidation:rule="[has(self.second), has(self.minute), has(self.hour), has(self.day), has(self.month), has(self.year)].exists(x, x)",message="set at least one of second, minute, hour, day, month and year"
// +kubebuilder:validation:XValidation:rule="!has(self.second) || ((!has(self.minute) || self.second <= self.minute) && (!has(self.hour) || self.second <= self.hour) && (!has(self.day) || self.second <= self.day) && (!has(self.month) || self.second <= self.month) && (!has(self.year) || self.second <= self.year))",fieldPath=".second",message="must not be above the limit of a longer time; lower it, or raise that one"
// +kubebuilder:validation:XValidation:rule="!has(self.minute) || ((!has(self.hour) || self.minute <= self.hour) && (!has(self.day) || self.minute <= self.day) && (!has(self.month) || self.minute <= self.month) && (!has(self.year) || self.minute <= self.year))",fieldPath=".minute",message="must not be above the limit of a longer time; lower it, or raise that one"
// +kubebuilder:validation:XValidation:rule="!has(self.hour) || ((!has(self.day) || self.hour <= self.day) && (!has(self.month) || self.hour <= self.month) && (!has(self.year) || self.hour <= self.year))",fieldPath=".hour",message="must not be above the limit of a longer time; lower it, or raise that one"
// +kubebuilder:validation:XValidation:rule="!has(self.day) || ((!has(self.month) || self.day <= self.month) && (!has(self.year) || self.day <= self.year))",fieldPath=".day",message="must not be above the limit of a longer time; lower it, or raise that one"
// +kubebuilder:validation:XValidation:rule="!has(self.month) || !has(self.year) || self.month <= self.year",fieldPath=".month",message="must not be above the limit of a longer time; lower it, or raise that one"
// +kubebuilder:validation:XValidation:rule="(has(self.policy) && self.policy == 'redis') == has(self.redis)",fieldPath=".redis",message="redis goes with policy: redis, and only with it"
type RateLimit struct {
	// second is how many requests a second.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	Second *int32 `json:"second,omitempty"`
	// minute is how many requests a minute.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	Minute *int32 `json:"minute,omitempty"`
	// hour is how many requests an hour.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	Hour *int32 `json:"hour,omitempty"`
	// day is how many requests a day.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	Day *int32 `json:"day,omitempty"`
	// month is how many requests a month.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	Month *int32 `json:"month,omitempty"`
	// year is how many requests a year.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	// +optional
	Year *int32 `json:"year,omitempty"`
	// limitBy is whose requests are counted together. Default consumer.
	// +kubebuilder:default=consumer
	// +optional
	LimitBy LimitBy `json:"limitBy,omitempty"`
	// policy is where requests are counted: local (each node for itself), cluster (Kong's database) or redis.
	// Default local.
	// +kubebuilder:default=local
	// +optional
	Policy RateLimitPolicy `json:"policy,omitempty"`
	// faultTolerant lets requests pass while the database or Redis cannot be reached. Default true.
	// +optional
	FaultTolerant *bool `json:"faultTolerant,omitempty"`
	// hideClientHeaders leaves the RateLimit headers out of answers. Default false.
	// +optional
	HideClientHeaders *bool `json:"hideClientHeaders,omitempty"`
	// redis is where policy redis counts: the name of one of the servers in the KongGateway's policy.redis.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +optional
	Redis string `json:"redis,omitempty"`
}

// LimitBy is what requests are counted by.
//
// +kubebuilder:validation:Enum=consumer;credential;ip;service
type LimitBy string

const (
	// LimitByConsumer counts the requests of each consumer.
	LimitByConsumer LimitBy = "consumer"
	// LimitByCredential counts the requests of each credential.
	LimitByCredential LimitBy = "credential"
	// LimitByIP counts the requests of each client's address.
	LimitByIP LimitBy = "ip"
	// LimitByService counts the requests to the service.
	LimitByService LimitBy = "service"
)

// RateLimitPolicy is where requests are counted.
//
// +kubebuilder:validation:Enum=local;cluster;redis
type RateLimitPolicy string

const (
	// RateLimitLocal counts in each node for itself.
	RateLimitLocal RateLimitPolicy = "local"
	// RateLimitCluster counts in Kong's database.
	RateLimitCluster RateLimitPolicy = "cluster"
	// RateLimitByRedis counts in a Redis server.
	RateLimitByRedis RateLimitPolicy = "redis"
)
