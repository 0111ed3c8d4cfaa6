# One account, one region: the buckets with the access logs are here, too.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 7.0"
    }
  }
}

provider "aws" {
  region = "us-west-2"
}

module "s3_log_roller" {
  source = "../.."

  zip_path = "../../../../dist/s3-log-roller-lambda-arm64.zip"
  delete   = false # for the first week

  schedules = {
    daily = {
      prefixes = ["s3://my-access-logs/"]
    }
  }
}

output "function_name" {
  description = "The function."
  value       = module.s3_log_roller.function_name
}

output "dead_letter_queue_url" {
  description = "The dead-letter queue."
  value       = module.s3_log_roller.dead_letter_queue_url
}
