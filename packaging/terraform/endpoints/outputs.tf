output "needed" {
  description = "Service names of the endpoints that the job's subnets need."
  value = {
    gateway   = [for service in local.gateways : "com.amazonaws.${local.region}.${service}"]
    interface = [for service in local.interfaces : "com.amazonaws.${local.region}.${service}"]
  }
}
