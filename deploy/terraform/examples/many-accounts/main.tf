# One account runs the roller, a copy in each region; the buckets are in other accounts, through a role in each.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 7.0"
    }
  }
}

variable "external_id" {
  description = "What the bucket-access roles ask for."
  type        = string
}

provider "aws" {
  alias  = "us_west_2"
  region = "us-west-2"
}

provider "aws" {
  alias  = "eu_central_1"
  region = "eu-central-1"
}

provider "aws" {
  alias  = "shop_account"
  region = "us-west-2"

  assume_role {
    role_arn = "arn:aws:iam::222222222222:role/deployer"
  }
}

locals {
  zip_path  = "../../../../dist/s3-log-roller-lambda-arm64.zip"
  shop_role = "arn:aws:iam::222222222222:role/s3-log-roller-bucket-access"
  shop_logs = {
    us_west_2    = ["s3://shop-logs-us-west-2/"]
    eu_central_1 = ["s3://shop-logs-eu-central-1/"]
  }
}

module "us_west_2" {
  source    = "../.."
  providers = { aws = aws.us_west_2 }

  zip_path = local.zip_path
  schedules = {
    shop = { prefixes = local.shop_logs.us_west_2, s3_role = local.shop_role, external_id = var.external_id }
  }
}

module "eu_central_1" {
  source    = "../.."
  providers = { aws = aws.eu_central_1 }

  zip_path = local.zip_path
  schedules = {
    shop = { prefixes = local.shop_logs.eu_central_1, s3_role = local.shop_role, external_id = var.external_id }
  }
}

# In the other account; one role there serves every region.
module "shop_access" {
  source    = "../../modules/bucket-access"
  providers = { aws = aws.shop_account }

  trusted_role_arns = [module.us_west_2.function_role_arn, module.eu_central_1.function_role_arn]
  external_id       = var.external_id
  prefixes          = flatten(values(local.shop_logs))
}
